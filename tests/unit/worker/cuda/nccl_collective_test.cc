// The collective against a stand-in for NCCL and CUDA that writes down every call.
#include "worker/cuda/nccl_collective.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "worker/parallel/rendezvous.h"

namespace cherry::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// One rank at a time uses it; the tables hold plain functions, so it is global.
struct Recorder {
  std::vector<std::string> calls;
  int in_progress = 0;                     // So many questions about a call are answered "not yet".
  ncclResult_t async_error = ncclSuccess;  // The answer after that.
  ncclResult_t all_reduce = ncclSuccess;
  cudaError_t event = cudaSuccess;
  int blocking = 1;
  std::string id;
  size_t elements = 0;
};
Recorder* recorder = nullptr;

char comm_memory, compute_stream, comm_stream, event_memory;

cudaStream_t Compute() { return reinterpret_cast<cudaStream_t>(&compute_stream); }

std::string Name(cudaStream_t stream) { return stream == Compute() ? "compute" : "comm"; }

const NcclApi kRecording = {
    .get_unique_id =
        [](ncclUniqueId* id) {
          recorder->calls.push_back("get_unique_id");
          std::memset(id->internal, 'x', sizeof(id->internal));
          return ncclSuccess;
        },
    .comm_init_rank_config =
        [](ncclComm_t* comm, int, ncclUniqueId id, int, ncclConfig_t* config) {
          recorder->calls.push_back("init");
          recorder->blocking = config->blocking;
          recorder->id.assign(id.internal, sizeof(id.internal));
          *comm = reinterpret_cast<ncclComm_t>(&comm_memory);
          return recorder->in_progress > 0 ? ncclInProgress : ncclSuccess;
        },
    .comm_get_async_error =
        [](ncclComm_t, ncclResult_t* result) {
          *result = recorder->in_progress-- > 0 ? ncclInProgress : recorder->async_error;
          return ncclSuccess;
        },
    .comm_finalize =
        [](ncclComm_t) {
          recorder->calls.push_back("finalize");
          return ncclSuccess;
        },
    .comm_destroy =
        [](ncclComm_t) {
          recorder->calls.push_back("destroy");
          return ncclSuccess;
        },
    .comm_abort =
        [](ncclComm_t) {
          recorder->calls.push_back("abort");
          return ncclSuccess;
        },
    .group_start =
        [] {
          recorder->calls.push_back("group_start");
          return ncclSuccess;
        },
    .group_end =
        [] {
          recorder->calls.push_back("group_end");
          return ncclSuccess;
        },
    .all_reduce =
        [](const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t operation, ncclComm_t,
           cudaStream_t stream) {
          EXPECT_EQ(in, out);
          EXPECT_EQ(type, ncclFloat32);
          EXPECT_EQ(operation, ncclSum);
          recorder->elements = count;
          recorder->calls.push_back("all_reduce on " + Name(stream));
          return recorder->all_reduce;
        },
    .error_string = [](ncclResult_t) { return "remote process exited"; },
    .stream_create =
        [](cudaStream_t* stream, unsigned int) {
          *stream = reinterpret_cast<cudaStream_t>(&comm_stream);
          return cudaSuccess;
        },
    .stream_destroy =
        [](cudaStream_t) {
          recorder->calls.push_back("stream_destroy");
          return cudaSuccess;
        },
    .stream_wait_event =
        [](cudaStream_t stream, cudaEvent_t, unsigned int) {
          recorder->calls.push_back(Name(stream) + " waits");
          return cudaSuccess;
        },
    .event_create =
        [](cudaEvent_t* event, unsigned int) {
          *event = reinterpret_cast<cudaEvent_t>(&event_memory);
          return cudaSuccess;
        },
    .event_destroy = [](cudaEvent_t) { return cudaSuccess; },
    .event_record =
        [](cudaEvent_t, cudaStream_t stream) {
          recorder->calls.push_back("record on " + Name(stream));
          return cudaSuccess;
        },
    .event_query = [](cudaEvent_t) { return recorder->event; },
    .current_stream = Compute,
};

class NcclCollectiveTest : public ::testing::Test {
 protected:
  void SetUp() override { recorder = &recorder_; }

  absl::StatusOr<std::unique_ptr<Collective>> Make(int rank) {
    NcclOptions options;
    options.rank = rank;
    options.world_size = 2;
    options.rendezvous_deadline = absl::Now() + absl::Milliseconds(200);
    options.timeout = absl::Milliseconds(200);
    return MakeNccl(options, kRecording, &rendezvous_);
  }

  Recorder recorder_;
  LocalRendezvous rendezvous_;
  std::vector<float> values_ = std::vector<float>(100);
};

TEST_F(NcclCollectiveTest, CallsComeInOrder) {
  {
    auto collective = Make(0);
    ASSERT_TRUE(collective.ok()) << collective.status();
    (*collective)->Start(absl::MakeSpan(values_));
    EXPECT_TRUE((*collective)->Wait().ok());
  }
  EXPECT_THAT(recorder_.calls, ElementsAre("get_unique_id", "init", "record on compute", "comm waits",
                                           "group_start", "all_reduce on comm", "group_end", "record on comm",
                                           "compute waits", "finalize", "destroy", "stream_destroy"));
  EXPECT_EQ(recorder_.elements, 100u);
}

TEST_F(NcclCollectiveTest, TheIdTravelsFromRankZero) {
  ASSERT_TRUE(Make(0).ok());
  recorder_.calls.clear();
  ASSERT_TRUE(Make(1).ok());
  EXPECT_EQ(recorder_.calls.front(), "init");
  EXPECT_EQ(recorder_.id, std::string(sizeof(ncclUniqueId), 'x'));
}

TEST_F(NcclCollectiveTest, ConnectingDoesNotBlockAndEndsWithItsDeadline) {
  recorder_.in_progress = 5;
  EXPECT_TRUE(Make(0).ok());
  EXPECT_EQ(recorder_.blocking, 0);
  recorder_.calls.clear();
  recorder_.in_progress = 1 << 30;
  const auto late = Make(0);
  EXPECT_THAT(std::string(late.status().message()), HasSubstr("not done in time"));
  EXPECT_THAT(recorder_.calls, ElementsAre("get_unique_id", "init", "abort", "stream_destroy"));
}

TEST_F(NcclCollectiveTest, ALostPeerAborts) {
  {
    auto collective = Make(0);
    ASSERT_TRUE(collective.ok());
    recorder_.event = cudaErrorNotReady;
    recorder_.async_error = ncclRemoteError;
    (*collective)->Start(absl::MakeSpan(values_));
    const absl::Status status = (*collective)->Wait();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("remote process exited"));
    recorder_.calls.clear();
    (*collective)->Start(absl::MakeSpan(values_));
    EXPECT_FALSE((*collective)->Wait().ok());
  }
  EXPECT_THAT(recorder_.calls, ElementsAre("abort", "stream_destroy"));
}

TEST_F(NcclCollectiveTest, ASilentPeerEndsWithTheTimeout) {
  auto collective = Make(0);
  ASSERT_TRUE(collective.ok());
  recorder_.event = cudaErrorNotReady;
  EXPECT_THAT(std::string((*collective)->AllReduceSum(absl::MakeSpan(values_)).message()),
              HasSubstr("not done in time"));
}

TEST_F(NcclCollectiveTest, AFailedCallClosesItsGroup) {
  auto collective = Make(0);
  ASSERT_TRUE(collective.ok());
  recorder_.all_reduce = ncclInvalidUsage;
  EXPECT_FALSE((*collective)->AllReduceSum(absl::MakeSpan(values_)).ok());
  EXPECT_EQ(recorder_.calls.back(), "group_end");
}

TEST_F(NcclCollectiveTest, HostValuesBelongToGloo) {
  auto collective = Make(0);
  ASSERT_TRUE(collective.ok());
  double value = 1.0;
  EXPECT_TRUE(absl::IsUnimplemented((*collective)->AllReduceSum(absl::MakeSpan(&value, 1))));
  EXPECT_TRUE(absl::IsUnimplemented((*collective)->Barrier()));
}

}  // namespace
}  // namespace cherry::trainer
