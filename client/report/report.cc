#include "client/report/report.h"

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/report/html.h"
#include "client/report/sections.h"
#include "client/report/style.h"
#include "common/version.h"

namespace cherry::client {
namespace {

struct Section {
  const char* id;
  const char* title;
  std::string body;
};

std::string Utc(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone()); }

// "9 jobs: 8 succeeded, 1 running"
std::string Counts(const ReportData& data) {
  std::map<v1::Job::State, int> states;
  for (const ReportedJob& job : data.jobs) {
    ++states[job.job.state()];
  }
  return absl::StrCat(data.jobs.size(), data.jobs.size() == 1 ? " job: " : " jobs: ",
                      absl::StrJoin(states, ", ", [](std::string* out, const auto& state) {
                        absl::StrAppend(out, state.second, " ",
                                        absl::AsciiStrToLower(v1::Job::State_Name(state.first)));
                      }));
}

std::string Header(const ReportData& data, const std::vector<Section>& sections) {
  std::string links;
  for (const Section& section : sections) {
    absl::StrAppend(
        &links, Element("li", TextElement("a", section.title, {{"href", absl::StrCat("#", section.id)}})));
  }
  return absl::StrCat(
      Element("header",
              absl::StrCat(
                  TextElement("h1", absl::StrCat("Report on ", data.title)), "\n",
                  TextElement(
                      "p", absl::StrCat(Counts(data), ". Read ", Utc(data.time), " by cherry ", kVersion,
                                        data.server.empty() ? "" : " from coordinator ", data.server, ".")),
                  "\n", Element("nav", Element("ul", links), {{"aria-label", "Sections"}}))),
      "\n");
}

}  // namespace

std::string RenderReport(const ReportData& data) {
  std::vector<Section> sections = {
      {"verdicts", "Verdicts", VerdictSection(data)},
      {"evaluation", "Evaluation", EvaluationSection(data)},
      {"curves", "Curves", CurveSection(data)},
      {"lineage", "Lineage", LineageSection(data)},
      {"jobs", "Jobs", JobSection(data)},
  };
  std::erase_if(sections, [](const Section& section) { return section.body.empty(); });
  std::string body = Header(data, sections);
  std::string main;
  for (const Section& section : sections) {
    const std::string heading = absl::StrCat(section.id, "-heading");
    absl::StrAppend(
        &main,
        Element("section",
                absl::StrCat(TextElement("h2", section.title, {{"id", heading}}), "\n", section.body),
                {{"id", section.id}, {"aria-labelledby", heading}}),
        "\n");
  }
  absl::StrAppend(&body, Element("main", absl::StrCat("\n", main)), "\n");
  const std::string head = absl::StrCat(
      Element("meta", "", {{"charset", "utf-8"}}), "\n",
      Element("meta", "", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}}), "\n",
      TextElement("title", absl::StrCat("Report on ", data.title)), "\n", Element("style", kReportStyle),
      "\n");
  return absl::StrCat("<!DOCTYPE html>\n",
                      Element("html",
                              absl::StrCat("\n", Element("head", absl::StrCat("\n", head)), "\n",
                                           Element("body", absl::StrCat("\n", body)), "\n"),
                              {{"lang", "en"}}),
                      "\n");
}

}  // namespace cherry::client
