// Submits, names, request ids, lists.
#include "tests/unit/coordinator/simulation.h"

namespace cherry::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Submits : public Simulation {
 protected:
  absl::StatusOr<v1::SubmitJobResponse> SubmitWith(const std::string& request_id, const v1::JobSpec& spec,
                                                   bool validate_only = false) {
    v1::SubmitJobRequest request;
    *request.mutable_spec() = spec;
    request.set_validate_only(validate_only);
    Mutation mutation;
    mutation.caller.identity = "kim";
    mutation.method = "SubmitJob";
    mutation.request_id = request_id;
    mutation.content = spec.SerializeAsString();
    const NewJobIds ids{absl::StrCat("uid-", ++uids_), "abcde"};
    return Do([&](Decision* decision) { return core_->SubmitJob(decision, mutation, request, ids); });
  }
};

TEST_F(Submits, TheSameRequestTwiceMakesOneJobAndTheStoredReply) {
  ASSERT_TRUE(SubmitWith("r1", PretrainSpec("a", 1)).ok());
  EXPECT_EQ(last_.stored_reply, "");
  ASSERT_TRUE(SubmitWith("r1", PretrainSpec("a", 1)).ok());
  EXPECT_EQ(last_.stored_reply, "r1");
  EXPECT_TRUE(last_.changes.empty());
  v1::SubmitJobResponse first;
  ASSERT_TRUE(first.ParseFromString(disk_.requests["r1"].reply()));
  EXPECT_EQ(first.job().uid(), "uid-1");
  Restart();
  ASSERT_TRUE(SubmitWith("r1", PretrainSpec("a", 1)).ok());
  EXPECT_EQ(last_.stored_reply, "r1");
  EXPECT_THAT(disk_.jobs, SizeIs(1));
}

TEST_F(Submits, ARequestIdForAnotherContentIsRefused) {
  ASSERT_TRUE(SubmitWith("r1", PretrainSpec("a", 1)).ok());
  const auto other = SubmitWith("r1", PretrainSpec("b", 1));
  EXPECT_EQ(other.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(InfoOf(other.status()).reason(), "REQUEST_ID_REUSED");
  EXPECT_EQ(InfoOf(SubmitWith("", PretrainSpec("b", 1)).status()).reason(), "REQUEST_ID_MISSING");
}

TEST_F(Submits, RequestIdsAreForgottenAfterADay) {
  ASSERT_TRUE(SubmitWith("r1", PretrainSpec("a", 1)).ok());
  AdvanceAndTick(absl::Hours(24));
  EXPECT_THAT(disk_.requests, IsEmpty());
  EXPECT_EQ(InfoOf(SubmitWith("r1", PretrainSpec("a", 1)).status()).reason(), "JOB_EXISTS");
}

TEST_F(Submits, ARefusedRequestLeavesNothingBehind) {
  v1::JobSpec spec = PretrainSpec("a", 1);
  spec.mutable_data()->set_train("nobody/train");
  const auto refused = SubmitWith("r1", spec);
  EXPECT_FALSE(refused.ok());
  EXPECT_FALSE(InfoOf(refused.status()).field().empty());
  EXPECT_TRUE(last_.changes.empty());
  EXPECT_TRUE(SubmitWith("r1", PretrainSpec("a", 1)).ok());  // The id was not spent.
}

TEST_F(Submits, ANameIsUniqueAmongLiveJobsAndFreeAfterwards) {
  const std::string first = Submit(PretrainSpec("a", 1));
  EXPECT_EQ(InfoOf(TrySubmit(PretrainSpec("a", 1)).status()).reason(), "JOB_EXISTS");
  v1::JobSpec elsewhere = PretrainSpec("a", 1);
  elsewhere.set_namespace_("team");
  EXPECT_TRUE(TrySubmit(elsewhere).ok());
  ASSERT_TRUE(TryCancel(first).ok());
  const std::string second = Submit(PretrainSpec("a", 1));
  EXPECT_EQ(core_->GetJob("namespaces/default/jobs/a")->uid(), second);
  Restart();
  EXPECT_EQ(core_->GetJob("namespaces/default/jobs/a")->uid(), second);
}

TEST_F(Submits, AGeneratedNameGetsASuffix) {
  v1::JobSpec spec = PretrainSpec("", 1);
  spec.set_generate_name("ko-");
  EXPECT_EQ(Job(Submit(spec)).name(), "namespaces/default/jobs/ko-abcde");
}

TEST_F(Submits, ValidateOnlyPlansAndChangesNothing) {
  const auto planned = SubmitWith("", PretrainSpec("a", 16), true);
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_TRUE(last_.changes.empty());
  EXPECT_EQ(planned->job().uid(), "");
  EXPECT_GT(planned->job().plan().parameters(), 1'000'000);
  EXPECT_THAT(planned->job().plan().would_wait(), SizeIs(1));
  EXPECT_THAT(disk_.jobs, IsEmpty());
}

TEST_F(Submits, ListsArePagedNewestFirst) {
  for (int i = 0; i < 5; ++i) {
    Submit(PretrainSpec(absl::StrCat("job-", i), 1));
  }
  v1::ListJobsRequest request;
  request.set_page_size(2);
  std::vector<std::string> names;
  int pages = 0;
  do {
    const auto page = core_->ListJobs(request);
    ASSERT_TRUE(page.ok());
    for (const v1::Job& job : page->jobs()) {
      names.push_back(job.resolved().name());
    }
    request.set_page_token(page->next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ElementsAre("job-4", "job-3", "job-2", "job-1", "job-0"));
  EXPECT_EQ(pages, 3);
  request.set_page_token("");
  request.set_page_token(core_->ListJobs(request)->next_page_token());
  request.set_namespace_("other");  // Another list's token.
  EXPECT_EQ(InfoOf(core_->ListJobs(request).status()).reason(), "PAGE_TOKEN_INVALID");
  request.set_page_token("");
  EXPECT_THAT(core_->ListJobs(request)->jobs(), IsEmpty());
}

TEST_F(Submits, ADatasetInUseIsNotReplacedByOtherContent) {
  Submit(PretrainSpec("a", 1));
  v1::RegisterDatasetRequest request;
  *request.mutable_dataset() = *core_->GetDataset("ko");
  request.mutable_dataset()->set_manifest_hash("another");
  const auto refused = Do([&](Decision* decision) {
    return core_->RegisterDataset(decision, NewMutation("RegisterDataset"), request);
  });
  EXPECT_EQ(InfoOf(refused.status()).reason(), "DATASET_IN_USE");
  // Nor by a record that only claims to have the same content.
  *request.mutable_dataset() = *core_->GetDataset("ko");
  request.mutable_dataset()->mutable_splits(0)->set_bin_hash("another");
  const auto claimed = Do([&](Decision* decision) {
    return core_->RegisterDataset(decision, NewMutation("RegisterDataset"), request);
  });
  EXPECT_EQ(InfoOf(claimed.status()).reason(), "DATASET_IN_USE");
  *request.mutable_dataset() = *core_->GetDataset("ko");
  EXPECT_TRUE(Do([&](Decision* decision) {
                return core_->RegisterDataset(decision, NewMutation("RegisterDataset"), request);
              }).ok());
}

TEST_F(Submits, ASplitsNameIsNoPath) {
  v1::RegisterDatasetRequest request;
  *request.mutable_dataset() = *core_->GetDataset("ko");
  request.mutable_dataset()->mutable_splits(0)->set_name("../../etc/x");
  const auto refused = Do([&](Decision* decision) {
    return core_->RegisterDataset(decision, NewMutation("RegisterDataset"), request);
  });
  EXPECT_EQ(InfoOf(refused.status()).field(), "dataset.splits.name") << refused.status();
}

TEST_F(Submits, WhatIsKeptForEverIsShort) {
  const std::string uid = Submit(PretrainSpec("a", 1));
  v1::CancelJobRequest cancel;
  cancel.set_name(Job(uid).name());
  cancel.set_reason(std::string(5000, 'x'));
  const auto refused =
      Do([&](Decision* decision) { return core_->CancelJob(decision, NewMutation("CancelJob"), cancel); });
  EXPECT_EQ(InfoOf(refused.status()).field(), "reason") << refused.status();
  v1::JobSpec spec = PretrainSpec("b", 1);
  (*spec.mutable_resources()->mutable_node_selector())["zone"] = std::string(64, 'x');
  EXPECT_EQ(InfoOf(TrySubmit(spec).status()).field(), "resources.node_selector");
}

TEST_F(Submits, APageOfLargeJobsEndsEarly) {
  v1::JobSpec spec = PretrainSpec("job", 1);
  for (int i = 0; i < 32; ++i) {
    (*spec.mutable_labels())[absl::StrCat(std::string(50, 'k'), i)] = std::string(60, 'x');
  }
  constexpr int kJobs = 900;
  for (int i = 0; i < kJobs; ++i) {
    spec.set_name(absl::StrCat("job-", i));
    Submit(spec);
  }
  v1::ListJobsRequest request;
  request.set_page_size(1000);
  int jobs = 0;
  int pages = 0;
  do {
    const auto page = core_->ListJobs(request);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LT(page->ByteSizeLong(), size_t{5} << 20);
    request.set_page_token(page->next_page_token());
    jobs += page->jobs_size();
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(jobs, kJobs);
  EXPECT_GE(pages, 2);
}

TEST_F(Submits, AWorkerOfAnotherApiVersionIsRefused) {
  v1::Register hello = Hello("w0", 1);
  hello.set_api_major(2);
  EXPECT_EQ(InfoOf(Register(hello)).reason(), "API_VERSION_UNSUPPORTED");
  hello = Hello("w0", 1);
  hello.mutable_slots(0)->set_device(v1::Resources::AUTO);
  EXPECT_EQ(InfoOf(Register(hello)).reason(), "SLOT_INVALID");
  EXPECT_THAT(disk_.workers, IsEmpty());
}

}  // namespace
}  // namespace cherry::coordinator
