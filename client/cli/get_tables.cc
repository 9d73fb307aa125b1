#include "client/cli/get_tables.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/job_text.h"

namespace cherry::client {
namespace {

constexpr size_t kReasonColumns = 60;

std::string Age(const google::protobuf::Timestamp& since) {
  return since.seconds() == 0 ? "-" : AgeText(absl::Now() - ToTime(since));
}

std::string Shortened(const std::string& text, bool wide) {
  if (wide || text.size() <= kReasonColumns) {
    return text;
  }
  size_t end = kReasonColumns - 3;
  // Not within a character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    --end;
  }
  return absl::StrCat(text.substr(0, end), "...");
}

// "2-15" for cores, "w0,w1" for workers.
std::string WorkersOf(const v1::Job& job) {
  std::set<std::string> workers;
  if (job.attempts_size() > 0 && job.attempts(job.attempts_size() - 1).state() != v1::Attempt::ENDED) {
    for (const v1::RankPlacement& rank : job.attempts(job.attempts_size() - 1).ranks()) {
      workers.insert(rank.worker());
    }
  }
  return workers.empty() ? "-" : absl::StrJoin(workers, ",");
}

}  // namespace

Table JobTable(const std::vector<v1::Job>& jobs, absl::string_view ns, bool wide) {
  std::vector<std::string> headers = {"NAME", "KIND", "STATE", "RANKS", "STEP", "LOSS"};
  if (wide) {
    headers.insert(headers.end(), {"VALID", "TOK/S", "ATTEMPTS", "PRIORITY", "WORKERS", "PIPELINE", "UID"});
  }
  headers.insert(headers.end(), {"AGE", "REASON"});
  Table table(headers);
  for (const v1::Job& job : jobs) {
    const v1::Progress& progress = job.progress();
    std::vector<std::string> row = {ShortJobName(job.name(), ns),
                                    KindText(job.spec()),
                                    StateText(job),
                                    RanksText(job),
                                    StepText(job),
                                    progress.has_loss() ? LossText(progress.loss()) : "-"};
    if (wide) {
      row.push_back(progress.has_valid_loss() ? LossText(progress.valid_loss()) : "-");
      row.push_back(progress.tokens_per_second() > 0 ? CountText(progress.tokens_per_second()) : "-");
      row.push_back(absl::StrCat(job.epoch()));
      row.push_back(absl::StrCat(job.spec().priority()));
      row.push_back(WorkersOf(job));
      row.push_back(job.pipeline().empty() ? "-" : job.pipeline());
      row.push_back(job.uid());
    }
    row.push_back(Age(job.create_time()));
    row.push_back(Shortened(ReasonText(job), wide));
    table.Row(row);
  }
  return table;
}

Table PipelineTable(const std::vector<v1::Pipeline>& pipelines, const std::vector<std::string>& names) {
  Table table({"NAME", "JOBS", "STATES", "SUBMITTER", "AGE"});
  for (size_t i = 0; i < pipelines.size(); ++i) {
    const v1::Pipeline& pipeline = pipelines[i];
    std::vector<std::string> states;
    // In the order of the states.
    for (int state = v1::Job::State_MIN; state <= v1::Job::State_MAX; ++state) {
      const std::string& name = v1::Job::State_Name(static_cast<v1::Job::State>(state));
      if (const auto count = pipeline.job_states().find(name); count != pipeline.job_states().end()) {
        states.push_back(absl::StrCat(count->second, " ", name));
      }
    }
    table.Row({names[i], absl::StrCat(pipeline.jobs_size()), absl::StrJoin(states, ", "),
               pipeline.submitter(), Age(pipeline.create_time())});
  }
  return table;
}

Table WorkerTable(const std::vector<v1::Worker>& workers, absl::string_view ns, bool wide) {
  std::vector<std::string> headers = {"NAME", "STATE", "SLOTS", "FREE", "DEVICE", "JOBS", "SEEN", "FAILURES"};
  if (wide) {
    headers.insert(headers.end(), {"ADDRESS", "METRICS", "VERSION", "LABELS"});
  }
  Table table(headers);
  for (const v1::Worker& worker : workers) {
    int free = 0;
    std::set<std::string> devices;
    std::set<std::string> jobs;
    for (const v1::Slot& slot : worker.slots()) {
      free += slot.job().empty() ? 1 : 0;
      devices.insert(absl::AsciiStrToLower(v1::Resources::Device_Name(slot.device())));
      if (!slot.job().empty()) {
        jobs.insert(ShortJobName(slot.job(), ns));
      }
    }
    std::vector<std::string> row = {worker.name(),
                                    v1::Worker::State_Name(worker.state()),
                                    absl::StrCat(worker.slots_size()),
                                    absl::StrCat(free),
                                    absl::StrJoin(devices, ","),
                                    jobs.empty() ? "-" : absl::StrJoin(jobs, ","),
                                    Age(worker.last_seen_time()),
                                    absl::StrCat(worker.recent_failures())};
    if (wide) {
      const std::set<std::pair<std::string, std::string>> labels(worker.labels().begin(),
                                                                 worker.labels().end());
      row.push_back(worker.address());
      row.push_back(worker.metrics_address());
      row.push_back(worker.version());
      row.push_back(absl::StrJoin(labels, ",", absl::PairFormatter("=")));
    }
    table.Row(row);
  }
  return table;
}

Table CheckpointTable(const std::vector<v1::Checkpoint>& checkpoints, const std::vector<std::string>& names,
                      bool wide) {
  std::vector<std::string> headers = {"NAME", "LOSS", "VALID", "SIZE", "AGE", "STATE", "MARKS"};
  if (wide) {
    headers.insert(headers.end(), {"ATTEMPT", "PATH"});
  }
  Table table(headers);
  for (size_t i = 0; i < checkpoints.size(); ++i) {
    const v1::Checkpoint& checkpoint = checkpoints[i];
    std::vector<std::string> marks;
    if (checkpoint.best()) {
      marks.push_back("best");
    }
    if (checkpoint.pinned()) {
      marks.push_back("pinned");
    }
    if (!checkpoint.detail().empty()) {
      marks.push_back(Shortened(checkpoint.detail(), wide));
    }
    std::vector<std::string> row = {names[i],
                                    checkpoint.has_loss() ? LossText(checkpoint.loss()) : "-",
                                    checkpoint.has_valid_loss() ? LossText(checkpoint.valid_loss()) : "-",
                                    BytesText(checkpoint.bytes()),
                                    Age(checkpoint.create_time()),
                                    v1::Checkpoint::State_Name(checkpoint.state()),
                                    absl::StrJoin(marks, ", ")};
    if (wide) {
      row.push_back(absl::StrCat(checkpoint.epoch()));
      row.push_back(checkpoint.path());
    }
    table.Row(row);
  }
  return table;
}

Table DatasetTable(const std::vector<v1::Dataset>& datasets, bool wide) {
  std::vector<std::string> headers = {"NAME", "SPLITS", "TOKENS", "DOCUMENTS", "VOCAB", "ENTROPY", "AGE"};
  if (wide) {
    headers.insert(headers.end(), {"PATH", "TOKENIZER", "DESCRIPTION"});
  }
  Table table(headers);
  for (const v1::Dataset& dataset : datasets) {
    std::vector<std::string> splits, tokens, documents, entropies;
    for (const v1::Split& split : dataset.splits()) {
      splits.push_back(split.name());
      tokens.push_back(CountText(static_cast<double>(split.tokens())));
      documents.push_back(CountText(static_cast<double>(split.documents())));
      entropies.push_back(LossText(split.unigram_entropy()));
    }
    std::vector<std::string> row = {dataset.name(),
                                    absl::StrJoin(splits, ","),
                                    absl::StrJoin(tokens, ","),
                                    absl::StrJoin(documents, ","),
                                    absl::StrCat(dataset.vocab()),
                                    absl::StrJoin(entropies, ","),
                                    Age(dataset.create_time())};
    if (wide) {
      row.push_back(dataset.path());
      row.push_back(dataset.tokenizer_hash());
      row.push_back(dataset.description());
    }
    table.Row(row);
  }
  return table;
}

Table ModelTable(const std::vector<v1::Model>& models, const std::vector<std::string>& names, bool wide) {
  std::vector<std::string> headers = {"NAME", "PARAMETERS", "LAYERS", "DIM", "VOCAB", "DTYPE", "AGE"};
  if (wide) {
    headers.insert(headers.end(), {"PATH", "TOKENIZER", "DESCRIPTION"});
  }
  Table table(headers);
  for (size_t i = 0; i < models.size(); ++i) {
    const v1::Model& model = models[i];
    std::vector<std::string> row = {names[i],
                                    CountText(static_cast<double>(model.parameters())),
                                    absl::StrCat(model.config().layers()),
                                    absl::StrCat(model.config().dim()),
                                    absl::StrCat(model.config().vocab()),
                                    model.dtype(),
                                    Age(model.create_time())};
    if (wide) {
      row.insert(row.end(), {model.path(), model.tokenizer_hash(), model.description()});
    }
    table.Row(row);
  }
  return table;
}

Table PresetTable(const std::vector<v1::Preset>& presets) {
  Table table(
      {"NAME", "LAYERS", "DIM", "HEADS", "KV", "FFN", "VOCAB", "PARAMETERS", "ACTIVE", "FLOPS/TOKEN"});
  for (const v1::Preset& preset : presets) {
    const v1::ModelConfig& model = preset.model();
    table.Row({preset.name(), absl::StrCat(model.layers()), absl::StrCat(model.dim()),
               absl::StrCat(model.heads()),
               absl::StrCat(model.has_kv_heads() ? model.kv_heads() : model.heads()),
               absl::StrCat(model.ffn_dim()), model.vocab() > 0 ? absl::StrCat(model.vocab()) : "dataset's",
               CountText(static_cast<double>(preset.parameters())),
               CountText(static_cast<double>(preset.active_parameters())),
               absl::StrFormat("%.3g", preset.flops_per_token())});
  }
  return table;
}

Table AttemptTable(const v1::Job& job) {
  Table table({"ATTEMPT", "STATE", "CAUSE", "STEPS", "STARTED", "RAN", "WORKERS", "WHAT HAPPENED"});
  for (const v1::Attempt& attempt : job.attempts()) {
    std::set<std::string> workers;
    for (const v1::RankPlacement& rank : attempt.ranks()) {
      workers.insert(rank.worker());
    }
    const absl::Time end = attempt.has_end_time() ? ToTime(attempt.end_time()) : absl::Now();
    std::string failure = attempt.failure().message();
    if (!failure.empty()) {
      failure = absl::StrCat("rank ", attempt.failure().rank(), ": ", failure);
    }
    table.Row({absl::StrCat(attempt.epoch()), v1::Attempt::State_Name(attempt.state()),
               CauseText(attempt.cause()), absl::StrCat(attempt.start_step(), "-", attempt.last_step()),
               TimeText(attempt.start_time()), AgeText(end - ToTime(attempt.start_time())),
               absl::StrJoin(workers, ","), failure});
  }
  return table;
}

}  // namespace cherry::client
