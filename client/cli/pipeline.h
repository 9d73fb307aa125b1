// Several jobs as one thing: what a name means, and how they are followed together.
#ifndef CHERRY_CLIENT_CLI_PIPELINE_H_
#define CHERRY_CLIENT_CLI_PIPELINE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cherry/v1/coordinator.pb.h"
#include "client/cli/context.h"

namespace cherry::client {

// A file's name as that of a pipeline: "Cherry mini.yaml" is "cherry-mini".
std::string PipelineNameOf(const std::string& file);

// `namespaces/default/pipelines/mini` as "mini"; of another namespace than `ns`, with it: "team/mini".
std::string ShortPipelineName(absl::string_view resource, absl::string_view ns);

// What a name on the command line means.
struct NamedJobs {
  std::string pipeline;       // Resource name, where it is a pipeline's.
  std::vector<v1::Job> jobs;  // One, or all of the pipeline, parents before children.
};

// The job of that name, else the pipeline. NOT_FOUND tells about the job.
absl::StatusOr<NamedJobs> FindJobs(Context* context, Client* client, const std::string& name);

// The jobs of a pipeline by its resource name, parents before children.
absl::StatusOr<std::vector<v1::Job>> ReadPipeline(Client* client, const std::string& pipeline);

// What following shows. On a terminal a table that is drawn anew; elsewhere a line for each job whose state
// has changed, and for those that run every ten seconds. Not thread-safe.
class PipelineView {
 public:
  PipelineView(std::string ns, bool terminal, int width)
      : ns_(std::move(ns)), terminal_(terminal), width_(width) {}

  // The text to write for the jobs as they are at `now`; may be empty.
  std::string Update(const std::vector<v1::Job>& jobs, absl::Time now);

 private:
  struct Told {
    v1::Job::State state = v1::Job::STATE_UNSPECIFIED;
    std::string line;
    absl::Time time = absl::InfinitePast();
  };
  std::string Draw(const std::vector<v1::Job>& jobs);

  const std::string ns_;
  const bool terminal_;
  const int width_;
  int drawn_lines_ = 0;
  std::map<std::string, Told> told_;  // By the job's name.
};

// Waits until all jobs of the pipeline have ended and returns them; with `show` their progress goes to out().
// Lives through restarts and ends early like FollowJob.
absl::StatusOr<std::vector<v1::Job>> FollowPipeline(Context* context, const std::string& pipeline, bool show);

// ReportOutcome of each; the exit code is that of a failed job if there is one.
absl::Status ReportOutcomes(Context* context, const std::vector<v1::Job>& jobs);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_PIPELINE_H_
