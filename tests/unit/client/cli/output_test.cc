#include "client/cli/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cherry/v1/resources.pb.h"
#include "client/cli/plot.h"
#include "client/cli/yaml_text.h"

namespace cherry::client {
namespace {

using ::testing::HasSubstr;

TEST(Table, AlignsColumnsByWhatATerminalShows) {
  Table table({"NAME", "REASON"});
  table.Row({"a", "one"});
  table.Row({"한국어", "two"});
  EXPECT_EQ(table.Render(), "NAME    REASON\na       one\n한국어  two\n");
  EXPECT_EQ(table.Render(false), "a       one\n한국어  two\n");
}

TEST(Numbers, ReadAsPeopleWriteThem) {
  EXPECT_EQ(CountText(1437696), "1.4M");
  EXPECT_EQ(CountText(300), "300");
  EXPECT_EQ(CountText(15900), "15.9k");
  EXPECT_EQ(CountText(566e6), "566M");
  EXPECT_EQ(CountText(999960), "1.0M");
  EXPECT_EQ(BytesText(1536), "1.5 KiB");
  EXPECT_EQ(BytesText(12), "12 B");
  EXPECT_EQ(AgeText(absl::Seconds(45)), "45s");
  EXPECT_EQ(AgeText(absl::Minutes(5)), "5m");
  EXPECT_EQ(AgeText(absl::Hours(30)), "30h");
  EXPECT_EQ(AgeText(absl::Hours(100)), "4d");
  EXPECT_EQ(ClockText(absl::Seconds(38)), "0:38");
  EXPECT_EQ(ClockText(absl::Seconds(3725)), "1:02:05");
  EXPECT_EQ(LossText(4.8123), "4.81");
  EXPECT_EQ(LossText(0.00012), "1.20e-04");
}

TEST(Structured, MessagesWithTheProtosFieldNames) {
  v1::Job job;
  job.set_name("namespaces/a/jobs/b");
  job.mutable_progress()->set_total_steps(300);
  job.add_pending()->set_message("needs: 2 slots");
  EXPECT_THAT(ToJson(job).value(), HasSubstr("\"total_steps\": \"300\""));
  EXPECT_EQ(ToYaml(job).value(),
            "name: namespaces/a/jobs/b\npending:\n  - message: \"needs: 2 slots\"\nprogress:\n"
            "  total_steps: \"300\"\n");
  EXPECT_EQ(ItemsToJson({}).value(), "{\n  \"items\": []\n}\n");
  EXPECT_EQ(ItemsToYaml({&job, &job}).value().substr(0, 20), "items:\n  - name: nam");
}

TEST(YamlText, QuotesWhatCouldBeTakenForSomethingElse) {
  EXPECT_EQ(YamlText("ko/train"), "ko/train");
  EXPECT_EQ(YamlText("true"), "\"true\"");
  EXPECT_EQ(YamlText("1e-3"), "\"1e-3\"");
  EXPECT_EQ(YamlText("a: \"b\"\n"), "\"a: \\\"b\\\"\\x0a\"");
}

TEST(ShortJobName, LeavesOutTheOwnNamespace) {
  EXPECT_EQ(ShortJobName("namespaces/default/jobs/a", "default"), "a");
  EXPECT_EQ(ShortJobName("namespaces/team/jobs/a", "default"), "team/a");
  EXPECT_EQ(ShortJobName("workers/w0", "default"), "workers/w0");
}

TEST(Wrap, BreaksAtWordsAndIndents) {
  EXPECT_EQ(Wrap("one two three four", 9, 2), "one two\n  three\n  four");
}

TEST(Bar, FillsInEighths) {
  EXPECT_EQ(Bar(0.5, 4), "██  ");
  EXPECT_EQ(Bar(0.375, 4), "█▌  ");
  EXPECT_EQ(Bar(2.0, 2), "██");
  EXPECT_EQ(Bar(std::nan(""), 2), "  ");
}

TEST(Plot, DrawsCurvesWithAxesAndLegend) {
  Series train{"loss/train", {}};
  for (int step = 0; step <= 100; ++step) {
    train.points.emplace_back(step, 8.0 * std::exp(-step / 30.0));
  }
  const Series valid{"loss/valid", {{50, 2.0}, {100, std::nan("")}}};
  const std::string plot = Plot({train, valid}, {.width = 60, .height = 8});
  EXPECT_THAT(plot, HasSubstr("        8 ┤"));
  EXPECT_THAT(plot, HasSubstr("o"));
  EXPECT_THAT(plot, HasSubstr("loss/valid 2"));
  EXPECT_EQ(std::count(plot.begin(), plot.end(), '\n'), 8 + 3);
}

TEST(Plot, SurvivesNothingOnePointAndNoNumbers) {
  EXPECT_EQ(Plot({}, {}), "");
  EXPECT_EQ(Plot({{"a", {}}}, {}), "");
  EXPECT_EQ(Plot({{"a", {{1, HUGE_VAL}}}}, {}), "");
  EXPECT_NE(Plot({{"a", {{1, 0.0}}}}, {}), "");
}

}  // namespace
}  // namespace cherry::client
