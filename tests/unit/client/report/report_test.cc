// A whole page of hand-made jobs: what is on it, in which order, and that any parser reads it.
#include "client/report/report.h"

#include <cmath>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/report/references.h"
#include "common/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Model = v1::Evaluation::Model;

std::string Resource(const std::string& job) { return "namespaces/default/jobs/" + job; }

class ReportTest : public ::testing::Test {
 protected:
  ReportTest() {
    data_.title = "pipeline mini";
    data_.ns = "default";
    data_.server = "9.9";
    data_.time = absl::FromUnixSeconds(1'780'000'000);
  }

  ReportedJob& Add(const std::string& name, v1::JobSpec::Kind kind, const std::string& from = "") {
    ReportedJob& reported = data_.jobs.emplace_back();
    v1::Job& job = reported.job;
    job.set_name(Resource(name));
    job.set_uid("uid-" + name);
    job.set_state(v1::Job::SUCCEEDED);
    job.mutable_spec()->set_kind(kind);
    job.mutable_spec()->set_name(name);
    job.mutable_spec()->mutable_train()->set_steps(100);
    if (!from.empty()) {
      job.mutable_spec()->mutable_from()->set_job(from);
    }
    return reported;
  }
  static void Record(const std::string& series, std::initializer_list<double> values, ReportedJob* job) {
    int step = 0;
    for (const double value : values) {
      v1::MetricSample& sample = job->samples.emplace_back();
      sample.set_name(series);
      sample.set_step(step);
      sample.set_value(value);
      step += 50;
    }
  }
  static Model Measured(const std::string& job, double loss) {
    Model model;
    model.set_job(Resource(job));
    model.set_checkpoint(Resource(job) + "/checkpoints/100");
    model.set_document(job);
    v1::Evaluation::Loss* const all = model.add_losses();
    all->set_group("all");
    all->set_loss(loss);
    return model;
  }
  // A base, an arm of it, and an evaluation with a verdict.
  void Pipeline() {
    ReportedJob& base = Add("ko-base", v1::JobSpec::PRETRAIN);
    Record("loss/train", {7.5, 5.0}, &base);
    Record("loss/valid", {7.6, 5.25}, &base);
    ReportedJob& arm = Add("ko-sgt", v1::JobSpec::SGT, "ko-base");
    Record("loss/valid", {5.25, 4.75}, &arm);
    Record("coupling/cosine", {0.25, -0.75, 0.5}, &arm);
    Record("coupling/random_cosine", {0.5, 0.5, 0.5}, &arm);
    v1::Evaluation& evaluation = *Add("ko-verdict", v1::JobSpec::EVALUATE).job.mutable_evaluation();
    *evaluation.add_starts() = Measured("ko-base", 5.25);
    *evaluation.add_baselines() = Measured("ko-all", 4.25);
    Model& model = *evaluation.add_models() = Measured("ko-sgt", 4.75);
    model.set_recovery(0.5);
    model.set_roi(3.25);
    model.set_selection_gain(0.125);
    model.add_acceptance(0.75);
    model.add_acceptance(0.5);
    v1::Evaluation::Summary& summary = *evaluation.add_summaries();
    summary.set_document("ko-sgt");
    summary.set_values("rule");
    summary.set_measure("recovery");
    summary.set_count(3);
    summary.set_mean(0.5);
    summary.set_half_width(0.125);
    v1::Evaluation::Verdict& verdict = *evaluation.add_verdicts();
    verdict.set_claim("Half is recovered");
    verdict.set_criterion("recovery of ko-sgt above 0.4");
    verdict.set_result(v1::Evaluation::Verdict::HOLDS);
    verdict.add_values(0.5);
  }
  // Whether an XML parser that is not ours takes the page.
  static bool IsWellFormed(const std::string& page) {
    const TestDirectory directory;
    const std::string path = directory.path() + "/page.html";
    EXPECT_TRUE(WriteFileAtomically(path, page).ok());
    const std::string command = absl::StrCat(
        "/usr/bin/python3 -c 'import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])' ", path,
        " 2> /dev/null");
    return std::system(command.c_str()) == 0;
  }

  ReportData data_;
};

TEST_F(ReportTest, IsWellFormedAndNeedsNothingBesideIt) {
  Pipeline();
  const std::string page = RenderReport(data_);
  EXPECT_TRUE(IsWellFormed(page));
  EXPECT_FALSE(IsWellFormed(absl::StrCat(page, "<p>")));
  for (const char* const request : {"http:", "https:", "src=", "url(", "@import", "<script", "<link"}) {
    EXPECT_THAT(page, Not(HasSubstr(request)));
  }
  EXPECT_THAT(page, AllOf(HasSubstr("<title>Report on pipeline mini</title>"), HasSubstr("lang=\"en\""),
                          HasSubstr("3 jobs: 3 succeeded. Read 2026-05-28 20:26 UTC by cherry"),
                          HasSubstr("from coordinator 9.9.")));
}

TEST_F(ReportTest, TheSameDataGivesTheSameBytes) {
  Pipeline();
  EXPECT_EQ(RenderReport(data_), RenderReport(data_));
}

TEST_F(ReportTest, NoTextBecomesMarkup) {
  const std::string evil = "<script>alert('1')</script>&\"";
  Pipeline();
  data_.title = evil;
  data_.server = evil;
  ReportedJob& job = Add(evil, v1::JobSpec::SGT, evil);
  job.job.set_matrix(evil);
  job.job.set_reason(evil);
  job.job.mutable_failure()->set_message(evil + " again");
  job.job.mutable_spec()->mutable_data()->set_train(evil);
  Record("loss/valid", {1.0, 2.0}, &job);
  v1::Evaluation& evaluation = *data_.jobs[2].job.mutable_evaluation();
  Model& model = *evaluation.add_models() = Measured(evil, 1.0);
  model.set_values(evil);
  model.mutable_losses(0)->set_group(evil);
  model.set_recovery(1.0);
  evaluation.mutable_summaries(0)->set_document(evil);
  evaluation.mutable_summaries(0)->set_values(evil);
  evaluation.mutable_verdicts(0)->set_claim(evil);
  evaluation.mutable_verdicts(0)->set_criterion(evil);
  const std::string page = RenderReport(data_);
  EXPECT_TRUE(IsWellFormed(page));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;"));
}

TEST_F(ReportTest, VerdictsComeFirst) {
  Pipeline();
  const std::string page = RenderReport(data_);
  const size_t verdicts = page.find("<h2 id=\"verdicts-heading\">");
  ASSERT_NE(verdicts, std::string::npos);
  for (const char* const later : {"evaluation", "curves", "lineage", "jobs"}) {
    EXPECT_LT(verdicts, page.find(absl::StrCat("<h2 id=\"", later, "-heading\">"))) << later;
  }
  EXPECT_THAT(page,
              AllOf(HasSubstr("ko-verdict: 1 hold, 0 fail, 0 undecided."),
                    HasSubstr("<li class=\"holds\"><p class=\"result\">holds</p><h3>Half is recovered</h3>"),
                    HasSubstr("Tested: recovery of ko-sgt above 0.4"), HasSubstr("Value: 0.5<")));
}

TEST_F(ReportTest, ModelsStandInTablesWithWhatWasMeasured) {
  Pipeline();
  const std::string page = RenderReport(data_);
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">ko-base:100</th><td class=\"t\">start</td>"));
  EXPECT_THAT(page,
              HasSubstr("<th scope=\"row\">ko-sgt:100</th><td class=\"n\">0.500</td><td class=\"n\">3.25</td>"
                        "<td class=\"n\">+0.125</td>"));
  EXPECT_THAT(page, HasSubstr("<td class=\"n\">0.75 0.50</td>"));
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">ko-sgt (rule)</th><td class=\"n\">3</td><td "
                              "class=\"n\">0.500 ±\u00a00.125</td>"));
  EXPECT_THAT(page, Not(HasSubstr("FLOPs per token")));  // Nobody measured them.
}

TEST_F(ReportTest, JobsOfOneKindAndParentShareACurve) {
  Pipeline();
  Record("loss/valid", {5.25, 4.5}, &Add("ko-random", v1::JobSpec::SGT, "ko-base"));
  const std::string page = RenderReport(data_);
  EXPECT_THAT(page, AllOf(HasSubstr("<figcaption>Held-out loss, pretrain</figcaption>"),
                          HasSubstr("<figcaption>Training loss, pretrain</figcaption>"),
                          HasSubstr("<figcaption>Held-out loss, sgt from ko-base</figcaption>"),
                          HasSubstr("<figcaption>Gradient coupling, sgt from ko-base</figcaption>")));
  EXPECT_THAT(page, AllOf(HasSubstr("ko-sgt (4.75)"), HasSubstr("ko-random (4.5)")));
  // The mean of 0.25, -0.75 and 0.5 is 0 beside 0.5 of the random split; one of three is negative.
  EXPECT_THAT(page, HasSubstr("<td class=\"n\">3</td><td class=\"n\">0.000</td><td class=\"n\">0.500</td>"
                              "<td class=\"n\">0 %</td><td class=\"n\">33 %</td>"));
}

TEST_F(ReportTest, SeedsOfOneCombinationShareAColour) {
  for (const int seed : {1, 2}) {
    for (const char* const selector : {"rule", "random"}) {
      ReportedJob& arm = Add(absl::StrCat("ko-", selector, "-", seed), v1::JobSpec::SGT);
      arm.job.set_matrix("ko");
      (*arm.job.mutable_matrix_values()->mutable_fields())["train.seed"].set_number_value(seed);
      (*arm.job.mutable_matrix_values()->mutable_fields())["sgt.selector"].set_string_value(selector);
      Record("loss/valid", {5.0, 4.0 + seed}, &arm);
    }
  }
  const std::string page = RenderReport(data_);
  EXPECT_THAT(page, AllOf(HasSubstr("</svg>ko, rule (2 seeds, 5.5)</li>"),
                          HasSubstr("</svg>ko, random (2 seeds, 5.5)</li>")));
  const std::vector<std::string> lines = absl::StrSplit(page, "<polyline ");
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_THAT(lines[1], HasSubstr("class=\"c0\""));
  EXPECT_THAT(lines[2], HasSubstr("class=\"c0\""));
  EXPECT_THAT(lines[3], HasSubstr("class=\"c1\""));
}

TEST_F(ReportTest, MoreJobsThanColoursHaveSeveralCharts) {
  for (int i = 0; i < 9; ++i) {
    Record("loss/valid", {5.0, 4.0}, &Add(absl::StrCat("ko-", i), v1::JobSpec::PRETRAIN));
  }
  EXPECT_THAT(RenderReport(data_), AllOf(HasSubstr("Held-out loss, pretrain (1 of 2)"),
                                         HasSubstr("Held-out loss, pretrain (2 of 2)")));
}

TEST_F(ReportTest, TheLineageShowsWhatStartedFromWhat) {
  Pipeline();
  Add("ko-more", v1::JobSpec::SGT, "ko-sgt");
  Add("ko-alone", v1::JobSpec::SGT, "gone");
  const std::string page = RenderReport(data_);
  const size_t start = page.find("<section id=\"lineage\"");
  const std::string lineage = page.substr(start, page.find("</section>", start) - start);
  const std::vector<std::string> deep = absl::StrSplit(lineage, "<ul>");
  ASSERT_EQ(deep.size(), 3u);  // ko-base holds ko-sgt, which holds ko-more.
  EXPECT_THAT(deep[0], HasSubstr("<strong>ko-base</strong>"));
  EXPECT_THAT(deep[1], HasSubstr("<strong>ko-sgt</strong>"));
  EXPECT_THAT(deep[2], HasSubstr("<strong>ko-more</strong>"));
  EXPECT_THAT(lineage, HasSubstr("from gone"));
}

TEST_F(ReportTest, JobsThatStartFromEachOtherAreShownOnce) {
  Add("a", v1::JobSpec::SGT, "b");
  Add("b", v1::JobSpec::SGT, "a");
  Add("c", v1::JobSpec::SGT, "c");
  const std::string page = RenderReport(data_);
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(page, "<strong>a</strong>")).size(), 2u);
  EXPECT_TRUE(IsWellFormed(page));
}

TEST_F(ReportTest, AJobTellsItsStateReasonAndSpec) {
  ReportedJob& failed = Add("ko-base", v1::JobSpec::PRETRAIN);
  failed.job.set_state(v1::Job::FAILED);
  failed.job.set_reason("no retries are left");
  failed.job.mutable_failure()->set_message("data/ko/train.bin is too short");
  const std::string page = RenderReport(data_);
  EXPECT_THAT(
      page, AllOf(HasSubstr("<summary>Spec of ko-base</summary>"),
                  HasSubstr("<p>ko-base is failed: no retries are left: data/ko/train.bin is too short</p>"),
                  HasSubstr("<pre>kind: pretrain\nname: ko-base\n")));
  EXPECT_THAT(page, Not(HasSubstr("<h2 id=\"verdicts-heading\">")));
}

TEST_F(ReportTest, NumbersThatAreNoneDoNotBreakThePage) {
  Pipeline();
  Record("loss/valid", {NAN, INFINITY}, &data_.jobs[0]);
  v1::Evaluation& evaluation = *data_.jobs[2].job.mutable_evaluation();
  evaluation.mutable_models(0)->mutable_losses(0)->set_loss(NAN);
  evaluation.mutable_summaries(0)->set_mean(NAN);
  EXPECT_TRUE(IsWellFormed(RenderReport(data_)));
}

TEST_F(ReportTest, NothingAtAllIsAPageToo) { EXPECT_TRUE(IsWellFormed(RenderReport(data_))); }

TEST(ReportedSeriesTest, FollowFromTheKind) {
  EXPECT_THAT(ReportedSeries(v1::JobSpec::PRETRAIN), ElementsAre("loss/valid", "loss/train"));
  EXPECT_THAT(ReportedSeries(v1::JobSpec::SGT), AllOf(Contains("coupling/random_cosine"), Contains("wave")));
  EXPECT_THAT(ReportedSeries(v1::JobSpec::EVALUATE), IsEmpty());
}

TEST(ReferencesTest, EverySourceOfASpecIsFoundWithItsRole) {
  v1::JobSpec spec;
  spec.mutable_from()->set_job("base");
  spec.mutable_sgt()->mutable_reference()->set_job("ref");
  spec.add_experts()->set_job("a");
  spec.add_experts()->set_model("imported");
  spec.mutable_evaluate()->mutable_start();  // Names nothing.
  spec.mutable_evaluate()->add_models()->set_job("team/m");
  std::vector<std::string> found;
  v1::Job job;
  job.set_name("namespaces/own/jobs/x");
  for (const Reference& reference : ReferencesOf(spec)) {
    found.push_back(absl::StrCat(reference.role, "=", ResourceOf(reference.source, job)));
  }
  EXPECT_THAT(found, ElementsAre("from=namespaces/own/jobs/base", "sgt.reference=namespaces/own/jobs/ref",
                                 "experts=namespaces/own/jobs/a",
                                 "experts=", "evaluate.models=namespaces/team/jobs/m"));
}

}  // namespace
}  // namespace cherry::client
