// `cherry` run in this process against a coordinator in memory, with a home of its own.
#ifndef CHERRY_TESTS_UNIT_CLIENT_CLI_APP_FIXTURE_H_
#define CHERRY_TESTS_UNIT_CLIENT_CLI_APP_FIXTURE_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/app.h"
#include "common/file.h"
#include "common/status.h"
#include "tests/test_directory.h"
#include "tests/unit/client/cli/fake_client.h"

namespace cherry::client {

class AppTest : public testing::Test {
 protected:
  AppTest() {
    setenv("CHERRY_HOME", directory_.c_str(), 1);
    unsetenv("CHERRY_COORDINATOR");
    Write("job.yaml", "kind: pretrain\nname: ko-base\ndata: {train: ko/train, valid: ko/valid}\n");
  }

  int Run(const std::vector<std::string>& args, bool terminal = false) {
    std::ostringstream out, err;
    Surroundings surroundings;
    surroundings.out = &out;
    surroundings.err = &err;
    surroundings.terminal = terminal;
    surroundings.factory = [this](const ClientOptions& options) -> absl::StatusOr<std::unique_ptr<Client>> {
      cluster_.options = options;
      return std::make_unique<FakeClient>(&cluster_);
    };
    const int code = RunCherry(args, surroundings);
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  std::string JobFile() const { return directory_ + "/job.yaml"; }

  v1::Job& AddJob(const std::string& name, v1::Job::State state) {
    v1::Job job;
    job.set_name("namespaces/default/jobs/" + name);
    job.set_state(state);
    job.mutable_spec()->set_kind(v1::JobSpec::PRETRAIN);
    job.mutable_spec()->set_name(name);
    job.mutable_plan()->set_ranks(2);
    job.set_epoch(1);
    job.mutable_progress()->set_step(120);
    job.mutable_progress()->set_total_steps(300);
    job.mutable_progress()->set_loss(4.814);
    cluster_.jobs.push_back(job);
    return cluster_.jobs.back();
  }

  static v1::WatchJobResponse Message(const v1::Job& job) {
    v1::WatchJobResponse message;
    *message.mutable_job() = job;
    return message;
  }

  FakeCluster cluster_;
  const TestDirectory own_;
  const std::string directory_ = own_.path();
  std::string out_, err_;
};

}  // namespace cherry::client

#endif  // CHERRY_TESTS_UNIT_CLIENT_CLI_APP_FIXTURE_H_
