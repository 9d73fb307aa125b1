// kill -9 of anything, at any time: the job ends as if nothing had happened, and nothing is lost or left.
#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <set>
#include <thread>
#include <tuple>

#include "absl/strings/ascii.h"
#include "fixture.h"

namespace cherry::integration {
namespace {

using ::testing::HasSubstr;

enum class Victim { kTrainer, kWorker, kCoordinator, kAll };
enum class Moment { kAfterSubmit, kInTheMiddle, kDuringASave };

class KillTest : public ClusterTest, public ::testing::WithParamInterface<std::tuple<Victim, Moment>> {
 protected:
  static bool Kills(Victim victim, Victim one) { return victim == one || victim == Victim::kAll; }

  void KillAndRestart(Victim victim) {
    if (Kills(victim, Victim::kTrainer)) {
      cluster_->KillTrainer();
    }
    if (Kills(victim, Victim::kWorker)) {
      cluster_->worker(0).Kill();
    }
    if (Kills(victim, Victim::kCoordinator)) {
      cluster_->coordinator().Kill();
      cluster_->StartCoordinator();
    }
    if (Kills(victim, Victim::kWorker)) {
      cluster_->StartWorker(0);
    }
  }

  void AwaitMoment(const std::string& name, Victim victim, Moment moment) {
    if (moment == Moment::kInTheMiddle) {
      AwaitStep(name, 50);
    } else if (moment == Moment::kDuringASave) {
      const v1::Job job = AwaitStep(name, 21);
      const absl::Status began = cluster_->AwaitSave(job, kJobTimeout);
      ASSERT_TRUE(began.ok()) << began;
    } else if (victim == Victim::kTrainer) {
      // There is none before it has been started.
      const auto started = cluster_->Await(
          name,
          [](const v1::Job& job) {
            return Ended(job) || (job.attempts_size() > 0 && job.attempts(0).ranks_size() > 0 &&
                                  job.attempts(0).ranks(0).state() == v1::RankPlacement::STARTED);
          },
          kJobTimeout);
      ASSERT_TRUE(started.ok()) << started.status();
    }
  }

  // Steps whose checkpoints the coordinator has acknowledged.
  std::set<int64_t> CommittedSteps(const std::string& name) {
    std::set<int64_t> steps;
    const auto checkpoints = cluster_->Checkpoints(name);
    EXPECT_TRUE(checkpoints.ok()) << checkpoints.status();
    for (const v1::Checkpoint& checkpoint : checkpoints.value_or(std::vector<v1::Checkpoint>())) {
      EXPECT_EQ(checkpoint.state(), v1::Checkpoint::COMMITTED) << checkpoint.ShortDebugString();
      steps.insert(checkpoint.step());
    }
    return steps;
  }
};

std::string NameOf(const ::testing::TestParamInfo<std::tuple<Victim, Moment>>& info) {
  const char* const victims[] = {"Trainer", "Worker", "Coordinator", "AllThree"};
  const char* const moments[] = {"RightAfterSubmit", "InTheMiddle", "DuringASave"};
  return std::string(victims[static_cast<int>(std::get<0>(info.param))]) +
         moments[static_cast<int>(std::get<1>(info.param))];
}

TEST_P(KillTest, JobEndsAsIfNothingHadHappened) {
  const auto [victim, moment] = GetParam();
  const std::string name =
      "kill-" + std::to_string(static_cast<int>(victim)) + "-" + std::to_string(static_cast<int>(moment));
  SubmitJob(name);
  AwaitMoment(name, victim, moment);
  const std::set<int64_t> before = CommittedSteps(name);
  KillAndRestart(victim);
  const v1::Job job = ExpectUndisturbedResult(name);
  const std::set<int64_t> after = CommittedSteps(name);
  EXPECT_TRUE(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  if (victim == Victim::kCoordinator) {
    // Running ranks do not notice; a job not yet placed is placed by the next life.
    EXPECT_EQ(job.attempts_size(), 1);
  } else if (moment != Moment::kAfterSubmit || victim == Victim::kTrainer) {
    ASSERT_GE(job.attempts_size(), 2);
    EXPECT_EQ(job.attempts(0).cause(), v1::CAUSE_PLATFORM) << job.attempts(0).ShortDebugString();
    EXPECT_EQ(job.failures(), 0);
  }
  EXPECT_TRUE(cluster_->Trainers().empty());
  EXPECT_EQ(cluster_->Processes().size(), 2u);  // The coordinator and the worker.
}

INSTANTIATE_TEST_SUITE_P(Everything, KillTest,
                         ::testing::Combine(::testing::Values(Victim::kTrainer, Victim::kWorker,
                                                              Victim::kCoordinator, Victim::kAll),
                                            ::testing::Values(Moment::kAfterSubmit, Moment::kInTheMiddle,
                                                              Moment::kDuringASave)),
                         NameOf);

class SaveFaultTest : public ClusterTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(SaveFaultTest, TrainerThatDiesThereIsResumedFromTheLastGoodCheckpoint) {
  const std::string point = GetParam();
  std::string name = "fault-" + point;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '.' || c == '_'; }, '-');
  cluster_->worker(0).Kill();
  cluster_->StartWorker(0, point + "@2");
  SubmitJob(name);
  const auto failed = cluster_->Await(
      name,
      [](const v1::Job& job) {
        return job.attempts_size() > 0 && job.attempts(0).state() == v1::Attempt::ENDED;
      },
      kJobTimeout);
  ASSERT_TRUE(failed.ok()) << failed.status();
  EXPECT_EQ(failed->attempts(0).cause(), v1::CAUSE_PLATFORM) << failed->attempts(0).ShortDebugString();
  cluster_->worker(0).Kill();
  cluster_->StartWorker(0);
  ExpectUndisturbedResult(name);
}

INSTANTIATE_TEST_SUITE_P(EveryPoint, SaveFaultTest,
                         ::testing::Values("checkpoint.before_model", "checkpoint.before_optimizer",
                                           "checkpoint.before_manifest", "checkpoint.after_manifest"),
                         [](const auto& info) {
                           std::string name = info.param;
                           name.erase(std::remove_if(name.begin(), name.end(),
                                                     [](char c) { return c == '.' || c == '_'; }),
                                      name.end());
                           return name;
                         });

class StoreFaultTest : public ClusterTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(StoreFaultTest, CoordinatorThatDiesThereLosesNothing) {
  // Each life of the coordinator dies at a later write than the one before; the last one stays. The submit
  // has a thread of its own: it returns only when a coordinator has lived long enough to answer it. The
  // coordinators are started by this thread: a child dies with the thread that made it.
  const std::string point = GetParam();
  const std::string name = std::string("store-") + (point == "store.before_sync" ? "before" : "after");
  cluster_->coordinator().Kill();
  cluster_->StartCoordinator(point + "@2");
  std::thread submit([&] { SubmitJob(name); });
  int deaths = 0;
  for (const char* const next : {"@3", "@4", ""}) {
    int status = 0;
    if (!cluster_->coordinator().Wait(absl::Minutes(2), &status)) {
      break;
    }
    ++deaths;
    cluster_->StartCoordinator(*next == '\0' ? "" : point + next);
  }
  submit.join();
  EXPECT_EQ(deaths, 3);
  ExpectUndisturbedResult(name);
}

INSTANTIATE_TEST_SUITE_P(EveryPoint, StoreFaultTest,
                         ::testing::Values("store.before_sync", "store.after_sync"), [](const auto& info) {
                           return std::string(info.param) == "store.before_sync" ? "BeforeSync" : "AfterSync";
                         });

// Jobs of a method, from the undisturbed base: the killed one against one that nobody disturbed.
class MethodKillTest : public ClusterTest, public ::testing::WithParamInterface<v1::JobSpec::Kind> {
 protected:
  v1::JobSpec Of(const std::string& name, const std::string& from) {
    v1::JobSpec spec = cluster_->SmallJob(name, kRanks, 40);
    spec.set_kind(GetParam());
    spec.clear_model();
    if (GetParam() == v1::JobSpec::FUSE) {
      // Two experts alike: that they part is the routers' doing.
      spec.add_experts()->set_job(from);
      spec.add_experts()->set_job(from);
      spec.mutable_fuse()->set_top_k(1);
      spec.mutable_multi_token()->set_depth(1);
      return spec;
    }
    spec.mutable_from()->set_job(from);
    if (GetParam() == v1::JobSpec::SGT) {
      spec.mutable_sgt()->set_selector(v1::SgtConfig::ENTROPY);
      spec.mutable_sgt()->set_coupling_every(5);
    } else {
      spec.mutable_compress()->set_layers(1);
      spec.mutable_compress()->mutable_unroll()->set_schedule("1x2");
      spec.mutable_compress()->mutable_unroll()->mutable_growth()->Add(1);
      spec.mutable_compress()->mutable_unroll()->mutable_growth()->Add(2);
    }
    return spec;
  }

  std::map<std::string, std::string> LastShards(const std::string& name) {
    const auto job = cluster_->Await(name, Ended, kJobTimeout);
    EXPECT_TRUE(job.ok() && Succeeded(*job)) << job.status() << (job.ok() ? job->ShortDebugString() : "");
    const auto checkpoints = cluster_->Checkpoints(name);
    EXPECT_TRUE(checkpoints.ok() && !checkpoints->empty()) << checkpoints.status();
    const auto newest = std::max_element(
        checkpoints->begin(), checkpoints->end(),
        [](const v1::Checkpoint& a, const v1::Checkpoint& b) { return a.step() < b.step(); });
    return cluster_->Shards(*newest).value_or(std::map<std::string, std::string>());
  }
};

std::string KindName(v1::JobSpec::Kind kind) { return absl::AsciiStrToLower(v1::JobSpec::Kind_Name(kind)); }

TEST_P(MethodKillTest, EndsAsIfNothingHadHappened) {
  const std::string kind = KindName(GetParam());
  SubmitJob(kind + "-base");
  ExpectUndisturbedResult(kind + "-base");
  for (const bool killed : {false, true}) {
    const std::string name = kind + (killed ? "-killed" : "-whole");
    const auto submitted = cluster_->Submit(Of(name, kind + "-base"));
    ASSERT_TRUE(submitted.ok()) << submitted.status();
    if (killed) {
      AwaitStep(name, 25);
      ASSERT_TRUE(cluster_->KillTrainer());
    }
    LastShards(name);
  }
  EXPECT_EQ(LastShards(kind + "-whole"), LastShards(kind + "-killed"));
  EXPECT_GE(cluster_->Get(kind + "-killed")->attempts_size(), 2);
}

INSTANTIATE_TEST_SUITE_P(Kinds, MethodKillTest,
                         ::testing::Values(v1::JobSpec::SGT, v1::JobSpec::COMPRESS, v1::JobSpec::FUSE),
                         [](const auto& info) { return KindName(info.param); });

// One checkpoint many times over, so that there is a middle.
class EvaluateKillTest : public ClusterTest {
 protected:
  v1::JobSpec Of(const std::string& name) {
    v1::JobSpec spec;
    spec.set_kind(v1::JobSpec::EVALUATE);
    spec.set_name(name);
    spec.mutable_resources()->mutable_ranks()->set_min(kRanks);
    spec.mutable_resources()->mutable_ranks()->set_max(kRanks);
    spec.mutable_evaluate()->mutable_baseline()->set_job("undisturbed");
    for (int i = 0; i < 60; ++i) {
      spec.mutable_evaluate()->add_models()->set_job("undisturbed");
    }
    return spec;
  }

  // What it found, but for how long that took.
  std::string Found(const std::string& name) {
    const auto job = cluster_->Await(name, Ended, kJobTimeout);
    EXPECT_TRUE(job.ok() && Succeeded(*job)) << job.status() << (job.ok() ? job->ShortDebugString() : "");
    v1::Evaluation evaluation = job.ok() ? job->evaluation() : v1::Evaluation();
    EXPECT_EQ(evaluation.models_size(), 60);
    for (auto* models : {evaluation.mutable_models(), evaluation.mutable_baselines()}) {
      for (v1::Evaluation::Model& model : *models) {
        model.clear_tokens_per_second();
      }
    }
    return evaluation.DebugString();
  }
};

TEST_F(EvaluateKillTest, KilledInTheMiddleItFindsTheSame) {
  ASSERT_TRUE(cluster_->Submit(Of("evaluate-whole")).ok());
  ASSERT_TRUE(cluster_->Submit(Of("evaluate-killed")).ok());
  const std::string whole = Found("evaluate-whole");
  AwaitStep("evaluate-killed", 2);
  ASSERT_TRUE(cluster_->KillTrainer());
  EXPECT_EQ(Found("evaluate-killed"), whole);
  EXPECT_GE(cluster_->Get("evaluate-killed")->attempts_size(), 2);
}

using DescribeTest = ClusterTest;

TEST_F(DescribeTest, TellsTheAttemptsAndTheirCauses) {
  SubmitJob("described");
  AwaitStep("described", 30);
  ASSERT_TRUE(cluster_->KillTrainer());
  ExpectUndisturbedResult("described");
  const CommandResult described = cluster_->Cli({"describe", "job", "described"});
  EXPECT_EQ(described.exit_code, 0) << described.output;
  EXPECT_THAT(described.output, HasSubstr("SUCCEEDED"));
  EXPECT_THAT(described.output, HasSubstr("SIGKILL"));
}

}  // namespace
}  // namespace cherry::integration
