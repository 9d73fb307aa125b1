#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/job_file.h"
#include "client/cli/output.h"
#include "client/report/html.h"
#include "client/report/references.h"
#include "client/report/sections.h"

namespace cherry::client {
namespace {

constexpr size_t kNamesInALine = 8;

std::string StateName(const v1::Job& job) { return absl::AsciiStrToLower(v1::Job::State_Name(job.state())); }

std::string SourceText(const v1::SourceRef& source) {
  if (source.job().empty()) {
    return source.model();
  }
  return absl::StrCat(source.job(), source.checkpoint().empty() ? "" : ":", source.checkpoint());
}

// "from ko-base:best", "experts a, b; evaluate.models c, d, and 7 more"
std::string SourcesText(const v1::JobSpec& spec) {
  std::vector<std::string> roles;
  std::map<std::string, std::vector<std::string>> by_role;
  for (const Reference& reference : ReferencesOf(spec)) {
    if (by_role.count(reference.role) == 0) {
      roles.push_back(reference.role);
    }
    by_role[reference.role].push_back(SourceText(reference.source));
  }
  return absl::StrJoin(roles, "; ", [&by_role](std::string* out, const std::string& role) {
    const std::vector<std::string>& names = by_role[role];
    const size_t shown = std::min(names.size(), kNamesInALine);
    absl::StrAppend(out, role, " ",
                    absl::StrJoin(names.begin(), names.begin() + static_cast<int64_t>(shown), ", "));
    if (shown < names.size()) {
      absl::StrAppend(out, ", and ", names.size() - shown, " more");
    }
  });
}

std::string StepsText(const v1::Job& job) {
  const int64_t total = std::max(job.progress().total_steps(), SpecOf(job).train().steps());
  return total == 0 ? "" : absl::StrCat(job.progress().step(), "/", total);
}

// What one kind is about: "rule, 15 %", "8 layers to 2 by mean".
std::string MethodText(const v1::JobSpec& spec) {
  std::string text;
  if (spec.kind() == v1::JobSpec::SGT && spec.sgt().has_budget()) {
    text = absl::StrCat(absl::AsciiStrToLower(v1::SgtConfig::Selector_Name(spec.sgt().selector())),
                        absl::StrFormat(", %g %%", 100 * spec.sgt().budget()));
  } else if (spec.kind() == v1::JobSpec::COMPRESS) {
    const v1::CompressConfig& compress = spec.compress();
    text = absl::StrCat(compress.layers(), " layers by ",
                        absl::AsciiStrToLower(v1::CompressConfig::Method_Name(compress.method())));
    if (!compress.unroll().schedule().empty()) {
      absl::StrAppend(&text, ", ", compress.unroll().schedule());
      if (compress.unroll().start() != v1::UnrollConfig::LOWEST) {
        absl::StrAppend(&text, " from ",
                        absl::AsciiStrToLower(v1::UnrollConfig::Start_Name(compress.unroll().start())));
      }
      if (compress.unroll().lora_rank() > 0) {
        absl::StrAppend(&text, ", rank ", compress.unroll().lora_rank());
      }
    }
  } else if (spec.kind() == v1::JobSpec::FUSE) {
    text = spec.fuse().routing() == v1::FuseConfig::SOUP
               ? absl::StrCat("soup of ", spec.experts_size())
               : absl::StrCat(spec.experts_size(), " experts, ",
                              absl::AsciiStrToLower(v1::FuseConfig::Routing_Name(spec.fuse().routing())));
  }
  return text;
}

std::string Best(const ReportedJob& job) {
  for (const v1::Checkpoint& checkpoint : job.checkpoints) {
    if (checkpoint.best()) {
      return absl::StrCat(
          checkpoint.has_valid_loss() ? absl::StrFormat("%.4f at ", checkpoint.valid_loss()) : "", "step ",
          checkpoint.step());
    }
  }
  return "";
}

std::string OverviewTable(const ReportData& data) {
  HtmlTable table(
      "Jobs", {"Job", "Kind", "Method", "State", "Steps", "Tokens", "Parameters", "Held-out loss", "Best"});
  for (const ReportedJob& reported : data.jobs) {
    const v1::Job& job = reported.job;
    const auto tokens = static_cast<double>(job.progress().tokens());
    table.Row({ShortJobName(job.name(), data.ns), KindName(job), MethodText(SpecOf(job)), StateName(job),
               StepsText(job), tokens > 0 ? CountText(tokens) : "",
               job.plan().parameters() > 0 ? CountText(static_cast<double>(job.plan().parameters())) : "",
               job.progress().has_valid_loss() ? absl::StrFormat("%.4f", job.progress().valid_loss()) : "",
               Best(reported)});
  }
  return table.Render();
}

std::string TrainTable(const ReportData& data) {
  HtmlTable table("How they were trained",
                  {"Job", "Data", "Seed", "Batch", "Sequence", "Learning rate", "Schedule", "Ranks"});
  for (const ReportedJob& reported : data.jobs) {
    const v1::JobSpec& spec = SpecOf(reported.job);
    const v1::TrainConfig& train = spec.train();
    const auto number = [](bool present, int64_t value) { return present ? absl::StrCat(value) : ""; };
    table.Row({ShortJobName(reported.job.name(), data.ns), spec.data().train(),
               number(train.has_seed(), train.seed()),
               number(train.has_global_batch_size(), train.global_batch_size()),
               number(train.has_sequence_length(), train.sequence_length()),
               train.optimizer().has_learning_rate()
                   ? absl::StrFormat("%g", train.optimizer().learning_rate())
                   : "",
               absl::AsciiStrToLower(v1::LrScheduler::Type_Name(train.lr_scheduler().type())),
               number(reported.job.plan().ranks() > 0, reported.job.plan().ranks())});
  }
  return table.Render();
}

// Why jobs are in the state they are in, where they have not simply succeeded.
std::string Reasons(const ReportData& data) {
  std::string body;
  for (const ReportedJob& reported : data.jobs) {
    const v1::Job& job = reported.job;
    std::string reason = job.reason();
    if (!job.failure().message().empty() && reason != job.failure().message()) {
      absl::StrAppend(&reason, reason.empty() ? "" : ": ", job.failure().message());
    }
    if (!reason.empty()) {
      absl::StrAppend(&body,
                      TextElement("p", absl::StrCat(ShortJobName(job.name(), data.ns), " is ", StateName(job),
                                                    ": ", reason)),
                      "\n");
    }
  }
  return body;
}

std::string NodeText(const ReportedJob& reported, const std::string& ns) {
  const v1::Job& job = reported.job;
  const std::string steps = StepsText(job);
  std::string facts = KindName(job);
  for (const std::string& fact :
       {MethodText(SpecOf(job)), steps.empty() ? "" : absl::StrCat("step ", steps), StateName(job)}) {
    absl::StrAppend(&facts, fact.empty() ? "" : ", ", fact);
  }
  const std::string sources = SourcesText(SpecOf(job));
  return absl::StrCat(TextElement("strong", ShortJobName(job.name(), ns)), " ", EscapeHtml(facts),
                      sources.empty() ? "" : TextElement("small", sources));
}

using Children = std::map<const ReportedJob*, std::vector<const ReportedJob*>>;

// A list item for `job` and, in it, a list of what started from it. `told` stops at what was shown already: a
// coordinator never makes a circle, a file might.
std::string Tree(const ReportedJob& job, const Children& children, const std::string& ns,
                 std::set<const ReportedJob*>* told) {
  if (!told->insert(&job).second) {
    return "";
  }
  std::string below;
  if (const auto found = children.find(&job); found != children.end()) {
    for (const ReportedJob* const child : found->second) {
      absl::StrAppend(&below, Tree(*child, children, ns, told));
    }
  }
  return absl::StrCat(Element("li", absl::StrCat(Element("div", NodeText(job, ns)),
                                                 below.empty() ? "" : Element("ul", below))),
                      "\n");
}

}  // namespace

std::string KindName(const v1::Job& job) {
  return absl::AsciiStrToLower(v1::JobSpec::Kind_Name(job.spec().kind()));
}

const v1::JobSpec& SpecOf(const v1::Job& job) { return job.has_resolved() ? job.resolved() : job.spec(); }

std::string LineageSection(const ReportData& data) {
  const JobIndex index(data);
  Children children;
  for (const ReportedJob& job : data.jobs) {
    children[index.ParentOf(job.job)].push_back(&job);
  }
  std::set<const ReportedJob*> told;
  std::string items;
  for (const ReportedJob* const root : children[nullptr]) {
    absl::StrAppend(&items, Tree(*root, children, data.ns, &told));
  }
  for (const ReportedJob& job : data.jobs) {  // What is left are circles.
    absl::StrAppend(&items, Tree(job, children, data.ns, &told));
  }
  return items.empty() ? ""
                       : absl::StrCat(Element("ul", absl::StrCat("\n", items), {{"class", "tree"}}), "\n");
}

std::string JobSection(const ReportData& data) {
  std::string body = absl::StrCat(OverviewTable(data), Reasons(data), TrainTable(data));
  for (const ReportedJob& reported : data.jobs) {
    const v1::Job& job = reported.job;
    absl::StrAppend(
        &body,
        Element(
            "details",
            absl::StrCat(TextElement("summary", absl::StrCat("Spec of ", ShortJobName(job.name(), data.ns))),
                         TextElement("pre", JobSpecToYaml(job.spec())))),
        "\n");
  }
  return body;
}

}  // namespace cherry::client
