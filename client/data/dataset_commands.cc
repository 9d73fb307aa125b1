// cherry data prepare | inspect | register
#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/context.h"
#include "client/data/checkpoint_ref.h"
#include "client/data/commands.h"
#include "client/data/inspect.h"
#include "client/data/prepare.h"
#include "client/data/rule_set.h"
#include "common/file.h"
#include "common/spec.h"
#include "common/status.h"

namespace cherry::client {
namespace {

struct DataFlags {
  PrepareOptions prepare;
  std::string data_root;
  std::string separator;
  std::string rules = "ko,en";
  bool rules_given = false;
  bool no_register = false;
  std::string name;
  int samples = 3;
  bool labels = false;
  bool verify = false;
};

// A root that was named must be there: making it would hide that a mount is missing.
absl::StatusOr<std::string> Root(const DataFlags& flags, const Context& context) {
  if (flags.data_root.empty()) {
    return context.data_root();
  }
  if (!Exists(flags.data_root)) {
    return Error(absl::StatusCode::kNotFound, "ROOT_NOT_MOUNTED", "data-root",
                 absl::StrCat("the data root ", flags.data_root, " is not on this machine"),
                 "run this where it is mounted");
  }
  return flags.data_root;
}

std::string Splits(const DatasetManifest& manifest, int64_t (v1::Split::*value)() const) {
  std::string text;
  for (const v1::Split& split : manifest.dataset.splits()) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", Grouped((split.*value)()), " ", split.name());
  }
  return text;
}

std::string Dropped(const CorpusCounts& counts) {
  return absl::StrCat(Grouped(counts.repeated_documents), " repeated and ", Grouped(counts.empty_documents),
                      " empty documents, ", Grouped(counts.repeated_lines), " repeated lines (",
                      HumanBytes(counts.repeated_line_bytes), ")");
}

// "1,234 fact (1.2 %), ..." of one split, and what part of its tokens has any category.
std::string LabelsText(const v1::Split& split) {
  if (split.labels_hash().empty()) {
    return absl::StrCat(split.name(), " none");
  }
  const auto share = [&](int64_t tokens) {
    return absl::StrFormat(
        "%s (%.2f %%)", Grouped(tokens),
        split.tokens() == 0 ? 0.0 : 100 * static_cast<double>(tokens) / static_cast<double>(split.tokens()));
  };
  std::string text =
      absl::StrCat(split.name(), " ", share(split.fact_tokens()), " fact, ", share(split.reason_tokens()),
                   " reason, ", share(split.correct_tokens()), " correct, ",
                   share(split.fact_tokens() + split.reason_tokens() + split.correct_tokens()), " in all");
  if (split.response_tokens() > 0) {
    absl::StrAppend(&text, "; ", share(split.response_tokens()), " response");
  }
  return text;
}

// "train 3-grams 0.373, 4-grams 0.121, 6-grams 0.007"
std::string Surviving(const ControlSurvival& survival) {
  std::string text = survival.split;
  for (const GramSurvival& row : survival.grams) {
    absl::StrAppendFormat(&text, "%s %d-grams %.3f", &row == survival.grams.data() ? "" : ",", row.n,
                          row.Share());
  }
  return text;
}

void PrintSummary(const DatasetManifest& manifest, const std::string& directory, std::ostream& out) {
  const v1::Dataset& dataset = manifest.dataset;
  int64_t tokens = 0;
  int64_t text_bytes = 0;
  std::string entropy;
  for (int i = 0; i < dataset.splits_size(); ++i) {
    tokens += dataset.splits(i).tokens();
    text_bytes += manifest.text_bytes[static_cast<size_t>(i)];
    absl::StrAppend(
        &entropy, entropy.empty() ? "" : ", ",
        absl::StrFormat("%.4f %s", dataset.splits(i).unigram_entropy(), dataset.splits(i).name()));
  }
  const auto line = [&out](const char* key, absl::string_view value) {
    out << absl::StrFormat("%-11s %s\n", key, value);
  };
  line("dataset", absl::StrCat(dataset.name(), "  ", directory));
  line("documents", Splits(manifest, &v1::Split::documents));
  if (text_bytes > 0) {
    line("dropped", Dropped(manifest.counts));
  }
  line("tokens", Splits(manifest, &v1::Split::tokens));
  std::string vocabulary =
      absl::StrCat(Grouped(dataset.vocab()), ", ", dataset.bytes_per_token(), " bytes a token");
  if (text_bytes > 0 && tokens > 0) {
    absl::StrAppend(&vocabulary,
                    absl::StrFormat(", %.2f bytes of text in each",
                                    static_cast<double>(text_bytes) / static_cast<double>(tokens)));
  }
  line("vocabulary", vocabulary);
  line("entropy", absl::StrCat(entropy, " (unigram, nats a token)"));
  for (const v1::Split& split : dataset.splits()) {
    line("labels", LabelsText(split));
  }
  if (dataset.rule_languages_size() > 0) {
    line("rules", absl::StrCat(absl::StrJoin(dataset.rule_languages(), ","), ", hash ", dataset.rules_hash(),
                               "; ", LettersText(manifest)));
  }
  if (!dataset.control().empty()) {
    line("control", absl::StrCat(dataset.control(), ", seed ", manifest.control_seed));
  }
  for (const ControlSurvival& survival : manifest.survival) {
    line("surviving", Surviving(survival));
  }
}

// A language that was asked for and is hardly there: most likely the wrong one was named.
void WarnOfAbsentLanguages(const DataFlags& flags, const DatasetManifest& manifest, std::ostream& err) {
  constexpr double kHardly = 0.01;
  if (flags.rules_given && flags.rules != "none" && manifest.dataset.rule_languages().empty()) {
    err << "warning: --rules: ready-made tokens have no text to label\n";
  }
  for (size_t i = 0; flags.rules_given && i < manifest.letter_shares.size(); ++i) {
    const std::string& language = manifest.dataset.rule_languages(static_cast<int>(i));
    if (manifest.letter_shares[i] < kHardly) {
      err << absl::StrFormat(
          "warning: --rules %s: %.1f %% of the letters are %s; its rules label almost nothing\n", language,
          100 * manifest.letter_shares[i], language == kKorean ? "Korean" : "English");
    }
  }
}

absl::Status Register(const v1::Dataset& dataset, Context* context) {
  ASSIGN_OR_RETURN(Client * client, context->Connect());
  v1::RegisterDatasetRequest request;
  *request.mutable_dataset() = dataset;
  request.set_request_id(context->RequestId());
  return client->RegisterDataset(request).status();
}

// The dataset is done when this is called: without a coordinator it only says what is left to do.
absl::Status RegisterPrepared(const DataFlags& flags, const DatasetManifest& manifest, Context* context) {
  const std::string command =
      absl::StrCat("cherry data register ", manifest.dataset.name(),
                   flags.data_root.empty() ? "" : absl::StrCat(" --data-root ", flags.data_root));
  if (flags.no_register) {
    context->err() << "not registered; to do it: " << command << "\n";
    return absl::OkStatus();
  }
  context->err() << "registering; without a coordinator this waits for "
                 << absl::FormatDuration(context->timeout()) << " (--timeout, --no-register)\n";
  const absl::Status status = Register(manifest.dataset, context);
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
    context->err() << "no coordinator answers, so the dataset is not registered yet; when one runs:\n  "
                   << command << "\n";
    return absl::OkStatus();
  }
  if (!status.ok()) {
    return Annotate(status, absl::StrCat("the dataset is complete, but was not registered (", command, ")"));
  }
  context->err() << "registered with the coordinator\n";
  return absl::OkStatus();
}

// Replacing a dataset takes it from the jobs that train on it, so they are asked for first. Without a
// coordinator nobody can be asked, and the coordinator finds the difference when it is registered.
absl::Status CheckNotInUse(const std::string& name, Context* context) {
  ASSIGN_OR_RETURN(Client* const client, context->Connect());
  v1::ListJobsRequest request;
  for (const v1::Job::State state :
       {v1::Job::PENDING, v1::Job::STARTING, v1::Job::RUNNING, v1::Job::PAUSED, v1::Job::BACKOFF}) {
    request.add_states(state);
  }
  do {
    const absl::StatusOr<v1::ListJobsResponse> page = client->ListJobs(request);
    if (absl::IsUnavailable(page.status()) || absl::IsDeadlineExceeded(page.status())) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(page.status());
    for (const v1::Job& job : page->jobs()) {
      if (NamesDataset(job.resolved().data(), name)) {
        return Error(absl::StatusCode::kFailedPrecondition, "DATASET_IN_USE", "--force",
                     absl::StrCat("--force: dataset '", name, "' is used by ", job.name()),
                     "use another name, or wait for the job's end");
      }
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

// Where the imported model that --tokenizer names lies.
absl::StatusOr<std::string> ModelDirectory(const std::string& tokenizer, Context* context) {
  ASSIGN_OR_RETURN(const CheckpointRef ref, ParseCheckpointRef(tokenizer));
  ASSIGN_OR_RETURN(ResolvedCheckpoint checkpoint,
                   ResolveCheckpoint(
                       ref, context->checkpoint_root(), [context] { return context->Connect(); },
                       [context](absl::string_view job) { return context->JobResource(job); }));
  return std::move(checkpoint.directory);
}

absl::Status RunPrepare(const std::shared_ptr<DataFlags>& flags, Context* context) {
  PrepareOptions options = flags->prepare;
  ASSIGN_OR_RETURN(options.data_root, Root(*flags, *context));
  ASSIGN_OR_RETURN(options.rules, ParseLanguages(flags->rules));
  RETURN_IF_ERROR(MakeDirectories(options.data_root));
  if (absl::StartsWith(options.tokenizer, "model:")) {
    ASSIGN_OR_RETURN(options.tokenizer, ModelDirectory(options.tokenizer, context));
  }
  if (options.force && !flags->no_register && Exists(absl::StrCat(options.data_root, "/", options.name))) {
    context->err() << "asking the coordinator whether a job uses " << options.name << "\n";
    RETURN_IF_ERROR(CheckNotInUse(options.name, context));
  }
  const absl::Time start = absl::Now();
  Progress progress(&context->err(), context->terminal());
  ASSIGN_OR_RETURN(const DatasetManifest manifest, PrepareDataset(options, &progress));
  WarnOfAbsentLanguages(*flags, manifest, context->err());
  if (context->structured()) {
    RETURN_IF_ERROR(context->Print(manifest.dataset));
  } else {
    PrintSummary(manifest, absl::StrCat(options.data_root, "/", options.name), context->out());
    context->out() << absl::StrFormat("%-11s %.1f s\n", "time", absl::ToDoubleSeconds(absl::Now() - start));
  }
  return RegisterPrepared(*flags, manifest, context);
}

absl::Status RunInspect(const std::shared_ptr<DataFlags>& flags, Context* context) {
  ASSIGN_OR_RETURN(const std::string root, Root(*flags, *context));
  ASSIGN_OR_RETURN(const DatasetManifest manifest, ReadDatasetManifest(root, flags->name));
  const std::string directory = absl::StrCat(root, "/", flags->name);
  RETURN_IF_ERROR(VerifyDataset(directory, manifest, flags->verify));
  if (context->structured()) {
    return context->Print(manifest.dataset);
  }
  PrintSummary(manifest, directory, context->out());
  for (const v1::Split& split : manifest.dataset.splits()) {
    context->out() << absl::StrFormat(
        "%-11s %s bin %s, idx %s%s\n", "hashes", split.name(), split.bin_hash(),
        absl::StrCat(split.idx_hash(), split.labels_hash().empty() ? "" : ", labels ", split.labels_hash()),
        flags->verify ? " (read back, right)" : "");
  }
  ASSIGN_OR_RETURN(const std::vector<TextSample> samples,
                   SampleDocuments(directory, manifest, flags->samples, flags->labels));
  for (const TextSample& sample : samples) {
    context->out() << absl::StrCat("\n--- ", sample.split, " document ", sample.document, ", ", sample.tokens,
                                   " tokens\n", sample.text, "\n");
  }
  return absl::OkStatus();
}

absl::Status RunRegister(const std::shared_ptr<DataFlags>& flags, Context* context) {
  ASSIGN_OR_RETURN(const std::string root, Root(*flags, *context));
  ASSIGN_OR_RETURN(const DatasetManifest manifest, ReadDatasetManifest(root, flags->name));
  RETURN_IF_ERROR(VerifyDataset(absl::StrCat(root, "/", flags->name), manifest, false));
  RETURN_IF_ERROR(Register(manifest.dataset, context));
  if (context->structured()) {
    return context->Print(manifest.dataset);
  }
  context->out() << "dataset " << flags->name << " registered\n";
  return absl::OkStatus();
}

void AddRoot(CLI::App* command, const std::shared_ptr<DataFlags>& flags) {
  command->add_option("--data-root", flags->data_root, "Where datasets lie (default: HOME/data)");
}

void AddPrepare(CLI::App& data, Context* context) {
  auto flags = std::make_shared<DataFlags>();
  CLI::App* command = nullptr;
  command = AddCommand(data, context, "prepare", "Make a dataset of text: tokenizer, token files, manifest",
                       "cherry data prepare --name ko --vocab 2048 corpus/ko/",
                       [flags, context] { return RunPrepare(flags, context); });
  PrepareOptions& options = flags->prepare;
  command
      ->add_option(
          "INPUT", options.inputs,
          ".txt files (one document each), .jsonl files (one object a line: a text, or a conversation in "
          "'messages'), .parquet files of such rows, directories of these (text also as .gz or .zst), or "
          "PREFIX of a .bin and .idx")
      ->required();
  command->add_option("--name", options.name, "Name of the dataset")->required();
  command->add_option("--vocab", options.vocab,
                      "Train a tokenizer of this many tokens, on the training split");
  command->add_option(
      "--tokenizer", options.tokenizer,
      "Take this tokenizer.json, that of this dataset, or of an imported model as model:NAME");
  command->add_option("--valid-share", options.valid_share, "Part of the text held out for validation")
      ->capture_default_str();
  command
      ->add_option("--text-field", options.text.text_field,
                   "Member of a .jsonl object, or Parquet column, that holds the text")
      ->capture_default_str();
  command->add_option_function<std::string>(
      "--document-separator", [flags](const std::string& line) { flags->prepare.text.separator = line; },
      "A line of .txt files that ends a document; '' for blank lines");
  command
      ->add_option("--repeated-line-chars", options.line_characters,
                   "Lines of at least this many characters are kept in one document only; 0: keep all")
      ->capture_default_str();
  CLI::Option* const rules =
      command
          ->add_option("--rules", flags->rules,
                       "Languages whose rules label facts, reasons and corrections: ko, en, or none")
          ->capture_default_str();
  rules->each([flags](const std::string&) { flags->rules_given = true; });
  command->add_option("--control", options.control,
                      "Change the order of the text: shuffle, k-let:K (keeps every K-gram) or sentences");
  command->add_option("--control-seed", options.control_seed, "What the control draws its order from")
      ->capture_default_str();
  command->add_option("--threads", options.threads, "0: every core")->capture_default_str();
  command->add_flag("--force", options.force, "Replace a dataset of this name");
  command->add_flag("--no-register", flags->no_register, "Do not tell the coordinator");
  AddRoot(command, flags);
}

void AddInspect(CLI::App& data, Context* context) {
  auto flags = std::make_shared<DataFlags>();
  CLI::App* command = AddCommand(
      data, context, "inspect", "Documents, tokens, hashes, and text back from the tokens",
      "cherry data inspect ko --samples 2 --verify", [flags, context] { return RunInspect(flags, context); });
  command->add_option("NAME", flags->name, "The dataset")->required();
  command->add_option("--samples", flags->samples, "Documents of each split to show")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  command->add_flag("--labels", flags->labels,
                    "Mark labelled spans in the samples: [F fact] [R reason] [C correction]");
  command->add_flag("--verify", flags->verify, "Read every byte back against its hash");
  AddRoot(command, flags);
}

void AddRegister(CLI::App& data, Context* context) {
  auto flags = std::make_shared<DataFlags>();
  CLI::App* command =
      AddCommand(data, context, "register", "Tell the coordinator of a dataset beneath its data root",
                 "cherry data register ko", [flags, context] { return RunRegister(flags, context); });
  command->add_option("NAME", flags->name, "The dataset")->required();
  AddRoot(command, flags);
}

}  // namespace

void RegisterDatasetCommands(CLI::App& app, Context* context) {
  CLI::App* data = AddGroup(app, "data", "Prepare and inspect datasets", "cherry data inspect ko");
  AddPrepare(*data, context);
  AddInspect(*data, context);
  AddRegister(*data, context);
}

void RegisterDataCommands(CLI::App& app, Context* context) {
  RegisterDatasetCommands(app, context);
  RegisterModelCommands(app, context);
  RegisterCheckpointCommands(app, context);
  RegisterGenerateCommand(app, context);
}

}  // namespace cherry::client
