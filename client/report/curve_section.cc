#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/output.h"
#include "client/report/chart.h"
#include "client/report/html.h"
#include "client/report/references.h"
#include "client/report/sections.h"

namespace cherry::client {
namespace {

// A chart for each group of jobs that has recorded it.
struct Drawn {
  const char* title;
  const char* series;
  const char* dashed;  // Beside it in the same colour; "" for none.
  const char* note;
  std::optional<double> reference;
  std::vector<v1::JobSpec::Kind> kinds;  // That record it; empty: all.
};

const std::vector<Drawn>& AllDrawn() {
  static const auto* const drawn = new std::vector<Drawn>{
      {"Held-out loss", "loss/valid", "", "Nats per target.", std::nullopt, {}},
      {"Training loss", "loss/train", "", "Nats per supervised target.", std::nullopt, {}},
      {"Gradient coupling",
       "coupling/cosine",
       "coupling/random_cosine",
       "Cosine of the gradients of supervised and other targets. Dashed: of a random split into as many, the "
       "ceiling.",
       0.0,
       {v1::JobSpec::SGT}},
      {"Wave",
       "wave",
       "",
       "Gain of all targets over that of the selected share: above 1, the others gained too.",
       1.0,
       {v1::JobSpec::SGT}},
      {"Recovery",
       "recovery/merge",
       "",
       "Share of the loss by merging that is made good again.",
       1.0,
       {v1::JobSpec::COMPRESS}},
  };
  return *drawn;
}

Points SeriesOf(const ReportedJob& job, absl::string_view name) {
  Points points;
  for (const v1::MetricSample& sample : job.samples) {
    if (sample.name() == name) {
      points.emplace_back(static_cast<double>(sample.step()), sample.value());
    }
  }
  std::stable_sort(points.begin(), points.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return points;
}

struct Group {
  std::string name;  // "sgt from ko-seed"
  std::vector<const ReportedJob*> jobs;
};

// Jobs of one kind and one parent (or one matrix of parents) are worth comparing.
std::vector<Group> GroupsOf(const ReportData& data) {
  const JobIndex index(data);
  std::vector<Group> groups;
  for (const ReportedJob& job : data.jobs) {
    if (job.samples.empty()) {
      continue;
    }
    std::string name = KindName(job.job);
    if (const ReportedJob* const parent = index.ParentOf(job.job); parent != nullptr) {
      absl::StrAppend(
          &name, " from ",
          parent->job.matrix().empty() ? ShortJobName(parent->job.name(), data.ns) : parent->job.matrix());
    }
    auto found =
        std::find_if(groups.begin(), groups.end(), [&name](const Group& g) { return g.name == name; });
    if (found == groups.end()) {
      found = groups.insert(groups.end(), {name, {}});
    }
    found->jobs.push_back(&job);
  }
  return groups;
}

std::string ValueName(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kStringValue:
      return value.string_value();
    case google::protobuf::Value::kNumberValue:
      return absl::StrCat(value.number_value());
    default:
      return value.bool_value() ? "true" : "false";
  }
}

// What jobs of a matrix have in common that differ in the seed alone; a job of its own has its name.
std::string SeedlessName(const v1::Job& job, const std::string& ns) {
  if (job.matrix().empty()) {
    return ShortJobName(job.name(), ns);
  }
  const auto& fields = job.matrix_values().fields();
  const std::map<std::string, google::protobuf::Value> values(fields.begin(), fields.end());
  std::string name = job.matrix();
  for (const auto& [path, value] : values) {
    if (path != "train.seed") {
      absl::StrAppend(&name, ", ", ValueName(value));
    }
  }
  return name;
}

// Jobs that share a colour.
std::vector<Group> ArmsOf(const Drawn& drawn, const Group& group, const std::string& ns) {
  std::vector<Group> arms;
  for (const ReportedJob* const job : group.jobs) {
    if (SeriesOf(*job, drawn.series).empty()) {
      continue;
    }
    const std::string name = SeedlessName(job->job, ns);
    auto found =
        std::find_if(arms.begin(), arms.end(), [&name](const Group& arm) { return arm.name == name; });
    if (found == arms.end()) {
      found = arms.insert(arms.end(), {name, {}});
    }
    found->jobs.push_back(job);
  }
  return arms;
}

// "ko-base (4.312)", "ko-select, rule (3 seeds, 4.218)": the last values, or their mean.
std::string ArmText(const Drawn& drawn, const Group& arm, const std::string& ns) {
  double sum = 0.0;
  for (const ReportedJob* const job : arm.jobs) {
    sum += SeriesOf(*job, drawn.series).back().second;
  }
  const size_t count = arm.jobs.size();
  const std::string last = absl::StrFormat("%.4g", sum / static_cast<double>(count));
  return count == 1 ? absl::StrCat(ShortJobName(arm.jobs[0]->job.name(), ns), " (", last, ")")
                    : absl::StrCat(arm.name, " (", count, " seeds, ", last, ")");
}

void AddArm(const Drawn& drawn, const Group& arm, const std::string& ns, int color, Chart* chart) {
  std::string name = ArmText(drawn, arm, ns);
  for (const ReportedJob* const job : arm.jobs) {
    chart->lines.push_back({std::exchange(name, ""), SeriesOf(*job, drawn.series), color, false});
    Points beside = SeriesOf(*job, drawn.dashed);
    if (!beside.empty()) {
      chart->lines.push_back({"", std::move(beside), color, true});
    }
  }
}

// A chart for every kChartColors arms of the group.
std::string ChartsOf(const Drawn& drawn, const Group& group, const std::string& ns) {
  const std::vector<Group> arms = ArmsOf(drawn, group, ns);
  std::string out;
  const size_t charts = (arms.size() + kChartColors - 1) / kChartColors;
  for (size_t i = 0; i < charts; ++i) {
    Chart chart{absl::StrCat(drawn.title, ", ", group.name), drawn.note, {}, drawn.reference};
    if (charts > 1) {
      absl::StrAppend(&chart.title, " (", i + 1, " of ", charts, ")");
    }
    for (size_t k = i * kChartColors; k < std::min(arms.size(), (i + 1) * kChartColors); ++k) {
      AddArm(drawn, arms[k], ns, static_cast<int>(k % kChartColors), &chart);
    }
    absl::StrAppend(&out, RenderChart(chart));
  }
  return out;
}

double Mean(const Points& points) {
  double sum = 0.0;
  for (const auto& [x, y] : points) {
    sum += y;
  }
  return sum / static_cast<double>(points.size());
}

std::string CouplingTable(const ReportData& data) {
  HtmlTable table("Gradient coupling over all probes",
                  {"Job", "Probes", "Mean cosine", "Of a random split", "Share of it", "Negative"});
  for (const ReportedJob& job : data.jobs) {
    const Points cosine = SeriesOf(job, "coupling/cosine");
    const Points random = SeriesOf(job, "coupling/random_cosine");
    if (cosine.empty()) {
      continue;
    }
    const auto negative =
        std::count_if(cosine.begin(), cosine.end(), [](const auto& p) { return p.second < 0.0; });
    table.Row({ShortJobName(job.job.name(), data.ns), absl::StrCat(cosine.size()),
               absl::StrFormat("%.3f", Mean(cosine)),
               random.empty() ? "" : absl::StrFormat("%.3f", Mean(random)),
               random.empty() || Mean(random) == 0.0
                   ? ""
                   : absl::StrFormat("%.0f %%", 100 * Mean(cosine) / Mean(random)),
               absl::StrFormat("%.0f %%",
                               100.0 * static_cast<double>(negative) / static_cast<double>(cosine.size()))});
  }
  return table.Render();
}

}  // namespace

std::vector<std::string> ReportedSeries(v1::JobSpec::Kind kind) {
  std::vector<std::string> names;
  for (const Drawn& drawn : AllDrawn()) {
    const bool records = drawn.kinds.empty() ? kind != v1::JobSpec::EVALUATE
                                             : std::count(drawn.kinds.begin(), drawn.kinds.end(), kind) > 0;
    if (!records) {
      continue;
    }
    names.emplace_back(drawn.series);
    if (*drawn.dashed != '\0') {
      names.emplace_back(drawn.dashed);
    }
  }
  return names;
}

std::string CurveSection(const ReportData& data) {
  std::string charts;
  for (const Group& group : GroupsOf(data)) {
    for (const Drawn& drawn : AllDrawn()) {
      absl::StrAppend(&charts, ChartsOf(drawn, group, data.ns));
    }
  }
  if (charts.empty()) {
    return "";
  }
  return absl::StrCat(Element("div", absl::StrCat("\n", charts), {{"class", "charts"}}), "\n",
                      CouplingTable(data));
}

}  // namespace cherry::client
