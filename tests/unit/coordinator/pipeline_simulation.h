// A simulated cluster for tests that submit several jobs at once.
#ifndef CHERRY_TESTS_UNIT_COORDINATOR_PIPELINE_SIMULATION_H_
#define CHERRY_TESTS_UNIT_COORDINATOR_PIPELINE_SIMULATION_H_

#include "tests/unit/coordinator/simulation.h"

namespace cherry::coordinator {

class PipelineSimulation : public Simulation {
 protected:
  static v1::JobSpec From(const std::string& name, const std::string& parent) {
    v1::JobSpec spec = PretrainSpec(name, 1);
    spec.mutable_from()->set_job(parent);
    return spec;
  }
  static v1::SubmitPipelineRequest Request(const std::string& name, const std::vector<v1::JobSpec>& jobs) {
    v1::SubmitPipelineRequest request;
    request.set_name(name);
    request.mutable_jobs()->Assign(jobs.begin(), jobs.end());
    return request;
  }
  absl::StatusOr<v1::SubmitPipelineResponse> TryPipeline(const v1::SubmitPipelineRequest& request,
                                                         const Mutation& mutation) {
    const NewPipelineIds ids{absl::StrCat("pipeline-", ++uids_), [this] {
                               return NewJobIds{absl::StrCat("uid-", ++uids_), "abcde"};
                             }};
    return Do([&](Decision* decision) { return core_->SubmitPipeline(decision, mutation, request, ids); });
  }
  absl::StatusOr<v1::SubmitPipelineResponse> TryPipeline(const v1::SubmitPipelineRequest& request) {
    return TryPipeline(request, NewMutation("SubmitPipeline"));
  }
  absl::StatusOr<v1::SubmitPipelineResponse> TryPipeline(const std::string& name,
                                                         const std::vector<v1::JobSpec>& jobs) {
    return TryPipeline(Request(name, jobs));
  }
  // Of its jobs, by their names.
  std::map<std::string, std::string> Pipeline(const std::string& name, const std::vector<v1::JobSpec>& jobs) {
    std::map<std::string, std::string> uids;
    const auto response = TryPipeline(name, jobs);
    EXPECT_TRUE(response.ok()) << Describe(response.status());
    if (response.ok()) {
      for (const v1::Job& job : response->jobs()) {
        uids[job.resolved().name()] = job.uid();
      }
    }
    return uids;
  }
  static std::vector<std::string> NamesOf(const v1::SubmitPipelineResponse& response) {
    std::vector<std::string> names;
    for (const v1::Job& job : response.jobs()) {
      names.push_back(job.resolved().name());
    }
    return names;
  }
  void Succeed(const std::string& uid) {
    if (StateOf(uid) == v1::Job::STARTING) {
      RunTo(uid, 1);
    }
    Commit(uid, 300, 4.0);
    ExitAll(uid, v1::CAUSE_SUCCEEDED);
    EXPECT_EQ(StateOf(uid), v1::Job::SUCCEEDED);
  }
};

}  // namespace cherry::coordinator

#endif  // CHERRY_TESTS_UNIT_COORDINATOR_PIPELINE_SIMULATION_H_
