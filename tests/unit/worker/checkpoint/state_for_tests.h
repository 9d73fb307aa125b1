// A small state, and a directory that goes with the test.
#ifndef CHERRY_TESTS_UNIT_WORKER_CHECKPOINT_STATE_FOR_TESTS_H_
#define CHERRY_TESTS_UNIT_WORKER_CHECKPOINT_STATE_FOR_TESTS_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <string>

#include "common/file.h"
#include "common/status.h"
#include "tests/test_directory.h"
#include "worker/checkpoint/save.h"

namespace cherry::trainer {

inline HostState MakeState(float base) {
  HostState state;
  state.places = {{"a.weight", {2, 3}, 0, 6}, {"b.weight", {4}, 16, 4}};
  for (std::vector<float>* buffer : {&state.values, &state.exp_avg, &state.exp_avg_sq}) {
    buffer->resize(32);
    std::iota(buffer->begin(), buffer->end(), base);
    base += 100.0f;
  }
  return state;
}

class CheckpointDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(WriteFileAtomically(root_ + "/tokenizer.json", "{}").ok()); }

  SaveRequest Request(int64_t step) const {
    SaveRequest request;
    request.root = root_;
    request.directory = StepDirectory("default/uid/epoch-1", step);
    request.config = "{}\n";
    request.tokenizer = root_;
    request.manifest.job_uid = "uid";
    request.manifest.step = step;
    return request;
  }
  std::string Directory(int64_t step) const {
    return root_ + "/" + StepDirectory("default/uid/epoch-1", step);
  }

  const TestDirectory own_;
  const std::string root_ = own_.path();
};

}  // namespace cherry::trainer

#endif  // CHERRY_TESTS_UNIT_WORKER_CHECKPOINT_STATE_FOR_TESTS_H_
