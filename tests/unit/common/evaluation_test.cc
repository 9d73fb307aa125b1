// What follows from measured models: recoveries, gains, summaries over seeds. The numbers are worked out by
// hand.
#include "common/evaluation.h"

#include <cstddef>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cherry {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using v1::EvaluateConfig;
using v1::SgtConfig;
using Model = v1::Evaluation::Model;

void AddLoss(const std::string& group, double value, int64_t targets, Model* model) {
  v1::Evaluation::Loss* const loss = model->add_losses();
  loss->set_group(group);
  loss->set_loss(value);
  loss->set_targets(targets);
}

Model Measured(const std::string& document, const std::string& values, int seed, double loss) {
  Model model;
  model.set_job(absl::StrCat("namespaces/default/jobs/", document, "-", seed));
  model.set_document(document);
  model.set_values(values);
  model.set_seed(seed);
  AddLoss("all", loss, 1000, &model);
  return model;
}

class EvaluationTest : public ::testing::Test {
 protected:
  void Add(const Model& model, SgtConfig::Selector selector = SgtConfig::SELECTOR_UNSPECIFIED,
           double budget = 0.0) {
    *measured_.add_models() = model;
    facts_.models.push_back({std::nullopt, selector, budget});
  }
  void Baseline(const Model& model) {
    *measured_.add_baselines() = model;
    facts_.baselines.emplace_back();
  }
  void Start(const Model& model) { *measured_.add_starts() = model; }
  void Ask(std::initializer_list<EvaluateConfig::Measure> measures) {
    for (const EvaluateConfig::Measure measure : measures) {
      config_.add_measures(measure);
    }
  }
  v1::Evaluation Finish() { return FinishEvaluation(config_, measured_, facts_); }

  EvaluateConfig config_;
  v1::Evaluation measured_;
  EvaluationFacts facts_;
};

TEST_F(EvaluationTest, RecoveryIsTheShareOfTheBaselinesGain) {
  Start(Measured("base", "", 1, 5.0));
  Baseline(Measured("all", "", 1, 4.0));
  Add(Measured("sgt", "", 1, 4.25));
  Add(Measured("worse", "", 1, 5.5));
  const v1::Evaluation done = Finish();
  EXPECT_DOUBLE_EQ(done.models(0).recovery(), 0.75);
  EXPECT_DOUBLE_EQ(done.models(1).recovery(), -0.5);
  EXPECT_FALSE(done.models(0).has_best_recovery());
}

TEST_F(EvaluationTest, BestRecoveryComparesTheLowestLossesOfBothRuns) {
  Start(Measured("base", "", 1, 5.0));
  Baseline(Measured("all", "", 1, 4.0));
  Add(Measured("sgt", "", 1, 4.25));
  facts_.baselines[0].best_valid_loss = 3.0;
  facts_.models[0].best_valid_loss = 4.0;
  EXPECT_DOUBLE_EQ(Finish().models(0).best_recovery(), 0.5);
}

TEST_F(EvaluationTest, WithoutAStartOrAGainThereIsNoRecovery) {
  Baseline(Measured("all", "", 1, 4.0));
  Add(Measured("sgt", "", 1, 4.25), SgtConfig::RULE, 0.15);
  EXPECT_FALSE(Finish().models(0).has_recovery());
  Start(Measured("base", "", 1, 4.0));
  const v1::Evaluation done = Finish();
  EXPECT_FALSE(done.models(0).has_recovery());
  EXPECT_FALSE(done.models(0).has_roi());
}

TEST_F(EvaluationTest, EachSeedIsMeasuredByItsOwnStartAndBaseline) {
  Start(Measured("base", "", 1, 5.0));
  Start(Measured("base", "", 2, 6.0));
  Baseline(Measured("all", "", 2, 2.0));
  Baseline(Measured("all", "", 1, 4.0));
  Add(Measured("sgt", "rule", 1, 4.5));
  Add(Measured("sgt", "rule", 2, 5.0));
  Add(Measured("sgt", "rule", 3, 5.0));
  const v1::Evaluation done = Finish();
  EXPECT_DOUBLE_EQ(done.models(0).recovery(), 0.5);
  EXPECT_DOUBLE_EQ(done.models(1).recovery(), 0.25);
  EXPECT_FALSE(done.models(2).has_recovery());
}

TEST_F(EvaluationTest, OfSeveralBaselinesOfASeedTheOneWithTheSameValuesCounts) {
  Start(Measured("base", "", 1, 5.0));
  Baseline(Measured("all", "small, 100", 1, 4.0));
  Baseline(Measured("all", "large, 100", 1, 3.0));
  Add(Measured("sgt", "large, 100", 1, 4.0));
  Add(Measured("sgt", "huge, 100", 1, 4.0));
  const v1::Evaluation done = Finish();
  EXPECT_DOUBLE_EQ(done.models(0).recovery(), 0.5);
  EXPECT_FALSE(done.models(1).has_recovery());
}

TEST_F(EvaluationTest, RoiIsForSelectiveTrainingOnly) {
  Start(Measured("base", "", 1, 5.0));
  Baseline(Measured("all", "", 1, 4.0));
  Model sgt = Measured("sgt", "", 1, 4.5);
  sgt.set_supervised_share(0.125);
  Add(sgt, SgtConfig::RULE, 0.15);
  sgt.set_document("other");
  Add(sgt);
  const v1::Evaluation done = Finish();
  EXPECT_DOUBLE_EQ(done.models(0).roi(), 4.0);
  EXPECT_FALSE(done.models(1).has_roi());
}

TEST_F(EvaluationTest, SelectionGainIsBeyondTheRandomArmOfTheSameSeedAndBudget) {
  Start(Measured("base", "", 1, 5.0));
  Baseline(Measured("all", "", 1, 4.0));
  Add(Measured("sgt", "rule", 1, 4.25), SgtConfig::RULE, 0.15);
  Add(Measured("sgt", "random", 1, 4.5), SgtConfig::RANDOM, 0.15);
  Add(Measured("sgt", "random", 2, 4.75), SgtConfig::RANDOM, 0.15);
  Add(Measured("sgt", "random", 1, 4.75), SgtConfig::RANDOM, 0.5);
  Add(Measured("sgt", "rule", 3, 4.25), SgtConfig::RULE, 0.15);
  Add(Measured("plain", "", 1, 4.25));
  const v1::Evaluation done = Finish();
  EXPECT_DOUBLE_EQ(done.models(0).selection_gain(), 0.25);
  for (int i = 1; i < done.models_size(); ++i) {
    EXPECT_FALSE(done.models(i).has_selection_gain()) << i;
  }
}

TEST_F(EvaluationTest, OfSeveralRandomArmsTheOneThatDiffersInTheSelectorAloneCounts) {
  Start(Measured("base", "", 1, 5.0));
  Baseline(Measured("all", "", 1, 4.0));
  Add(Measured("sgt", "0, random", 1, 4.75), SgtConfig::RANDOM, 0.15);
  Add(Measured("sgt", "1, random", 1, 4.5), SgtConfig::RANDOM, 0.15);
  Add(Measured("sgt", "1, rule", 1, 4.25), SgtConfig::RULE, 0.15);
  Add(Measured("apart", "", 1, 4.25), SgtConfig::RULE, 0.15);
  const v1::Evaluation done = Finish();
  EXPECT_DOUBLE_EQ(done.models(2).selection_gain(), 0.25);
  EXPECT_FALSE(done.models(3).has_selection_gain());
}

TEST_F(EvaluationTest, TheWaveIsTheGainOfAllOverTheSelectedShareOfIt) {
  Model start = Measured("base", "", 1, 5.0);
  AddLoss("rule", 6.0, 250, &start);
  Start(start);
  Baseline(Measured("all", "", 1, 4.0));
  Model sgt = Measured("sgt", "", 1, 4.5);
  AddLoss("rule", 5.0, 250, &sgt);
  Add(sgt, SgtConfig::RULE, 0.25);
  Add(Measured("plain", "", 1, 4.5));
  const v1::Evaluation done = Finish();
  EXPECT_DOUBLE_EQ(done.models(0).wave(), 2.0);  // 0.5 / (0.25 * 1)
  EXPECT_FALSE(done.models(1).has_wave());
}

TEST_F(EvaluationTest, TheWaveOfARunOfSomeCategoriesIsOfThese) {
  Model start = Measured("base", "", 1, 5.0);
  Model sgt = Measured("sgt", "", 1, 4.5);
  for (const auto& [group, targets, before, after] : {std::tuple{"rule", 250, 6.0, 5.6},
                                                      {"fact", 100, 7.0, 6.0},
                                                      {"reason", 100, 6.0, 5.5},
                                                      {"correct", 50, 4.0, 4.5}}) {
    AddLoss(group, before, targets, &start);
    AddLoss(group, after, targets, &sgt);
  }
  Start(start);
  Baseline(Measured("all", "", 1, 4.0));
  const std::vector<std::string> categories = {"fact", "reason", "correct"};
  Add(sgt, SgtConfig::RULE, 0.25);
  for (std::ptrdiff_t count = 1; count <= 3; ++count) {
    Add(sgt, SgtConfig::RULE, 0.25);
    facts_.models.back().selected_groups = {categories.begin(), categories.begin() + count};
  }
  const v1::Evaluation done = Finish();
  EXPECT_NEAR(done.models(0).wave(), 5.0, 1e-9);  // 0.5 / (0.25 * 0.4)
  EXPECT_NEAR(done.models(1).wave(), 5.0, 1e-9);  // 0.5 / (0.1 * 1)
  EXPECT_NEAR(done.models(2).wave(), 500.0 / 150, 1e-9);
  EXPECT_NEAR(done.models(3).wave(), 500.0 / 125, 1e-9);
}

TEST_F(EvaluationTest, ASummaryHasMeanAndIntervalOverTheSeedsOfAGroup) {
  Ask({EvaluateConfig::LOSS});
  Baseline(Measured("all", "", 1, 4.0));
  Add(Measured("sgt", "rule", 1, 1.0));
  Add(Measured("sgt", "random", 1, 7.0));
  Add(Measured("sgt", "rule", 2, 2.0));
  Add(Measured("sgt", "rule", 3, 3.0));
  const v1::Evaluation done = Finish();
  ASSERT_EQ(done.summaries_size(), 3);
  const v1::Evaluation::Summary& rule = done.summaries(0);
  EXPECT_EQ(absl::StrCat(rule.document(), "/", rule.values(), "/", rule.measure()), "sgt/rule/loss");
  EXPECT_EQ(rule.count(), 3);
  EXPECT_DOUBLE_EQ(rule.mean(), 2.0);
  EXPECT_NEAR(rule.half_width(), 2.484138, 1e-6);  // 4.302653 * 1 / sqrt(3)
  EXPECT_EQ(done.summaries(1).count(), 1);
  EXPECT_EQ(done.summaries(1).half_width(), 0.0);
  EXPECT_EQ(done.summaries(2).document(), "all");
}

TEST_F(EvaluationTest, OnlyWhatIsAskedForIsSummarized) {
  Start(Measured("base", "", 1, 5.0));
  Baseline(Measured("all", "", 1, 4.0));
  facts_.baselines[0].best_valid_loss = 4.0;
  Model model = Measured("sgt", "", 1, 4.5);
  model.set_tokens_per_second(2e4);
  model.add_acceptance(0.75);
  model.add_acceptance(0.5);
  model.set_supervised_share(0.5);
  Add(model, SgtConfig::RULE, 0.15);
  facts_.models[0].best_valid_loss = 4.5;
  const auto names = [this] {
    std::vector<std::string> of_model;
    const v1::Evaluation done = Finish();
    for (const v1::Evaluation::Summary& summary : done.summaries()) {
      if (summary.document() == "sgt") of_model.push_back(summary.measure());
    }
    return of_model;
  };
  EXPECT_THAT(names(), ElementsAre("loss", "recovery", "best_recovery"));
  Ask({EvaluateConfig::ACCEPTANCE, EvaluateConfig::SPEED, EvaluateConfig::ROI, EvaluateConfig::WAVE});
  EXPECT_THAT(names(), ElementsAre("loss", "roi", "tokens_per_second", "acceptance"));
}

TEST_F(EvaluationTest, ABaselineAmongTheModelsIsSummarizedOnce) {
  Ask({EvaluateConfig::LOSS});
  Baseline(Measured("sgt", "all", 1, 4.0));
  Add(Measured("sgt", "all", 1, 4.0));
  EXPECT_EQ(Finish().summaries_size(), 1);
}

TEST_F(EvaluationTest, WithoutModelsThereIsNothingToSay) {
  const v1::Evaluation done = Finish();
  EXPECT_THAT(done.summaries(), IsEmpty());
  EXPECT_THAT(done.verdicts(), IsEmpty());
}

TEST(StudentT95Test, AgreesWithPublishedTables) {
  EXPECT_NEAR(StudentT95(1), 12.7062, 5e-5);
  EXPECT_NEAR(StudentT95(2), 4.3027, 5e-5);
  EXPECT_NEAR(StudentT95(3), 3.1824, 5e-5);
  EXPECT_NEAR(StudentT95(4), 2.7764, 5e-5);
  EXPECT_NEAR(StudentT95(5), 2.5706, 5e-5);
  EXPECT_NEAR(StudentT95(9), 2.2622, 5e-5);
  EXPECT_NEAR(StudentT95(10), 2.2281, 5e-5);
  EXPECT_NEAR(StudentT95(30), 2.0423, 5e-5);
  EXPECT_NEAR(StudentT95(255), 1.9693, 5e-5);
}

}  // namespace
}  // namespace cherry
