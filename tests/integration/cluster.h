// A cluster of real processes in a directory of its own: a coordinator, workers, and the trainers they start.
//
// The test is the supervisor: it kills, and starts again. Waiting is by the API's watch streams. Everything
// dies with the test. Not thread-safe.
#ifndef CHERRY_TESTS_INTEGRATION_CLUSTER_H_
#define CHERRY_TESTS_INTEGRATION_CLUSTER_H_

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cherry/v1/coordinator.pb.h"
#include "process.h"

namespace cherry::integration {

struct ClusterOptions {
  int workers = 1;
  int slots = 2;  // Of each worker.
};

class Cluster {
 public:
  // Programs come from the directory CHERRY_BIN. Starts everything and registers the dataset "text".
  static absl::StatusOr<std::unique_ptr<Cluster>> Start(const ClusterOptions& options);
  ~Cluster();

  // `faults` is CHERRY_FAULTS of this life of the process ("" for none).
  void StartCoordinator(const std::string& faults = "");
  void StartWorker(int index, const std::string& faults = "");
  Process& coordinator() { return coordinator_; }
  Process& worker(int index) { return *workers_[static_cast<size_t>(index)]; }
  // Trainers of this cluster that are alive.
  std::vector<pid_t> Trainers() const;
  // SIGKILL to one trainer; false when there is none.
  bool KillTrainer();
  // Every process of the cluster, whoever its parent is.
  std::vector<pid_t> Processes() const;

  // A job on the dataset "text" of a size that takes seconds.
  v1::JobSpec SmallJob(const std::string& name, int ranks, int steps) const;
  // With retries while the coordinator is away, under one request id.
  absl::StatusOr<v1::Job> Submit(const v1::JobSpec& spec);
  absl::StatusOr<v1::Job> Get(const std::string& name);
  absl::Status Cancel(const std::string& name, bool now);
  absl::Status Pause(const std::string& name);
  absl::Status Resume(const std::string& name);
  absl::StatusOr<std::vector<v1::Checkpoint>> Checkpoints(const std::string& name);
  absl::StatusOr<std::string> Logs(const std::string& name, int rank);
  // Waits until the condition holds for the job, through restarts of the coordinator.
  using Condition = std::function<bool(const v1::Job&)>;
  absl::StatusOr<v1::Job> Await(const std::string& name, const Condition& condition, absl::Duration timeout);
  absl::Status AwaitServing(absl::Duration timeout);
  // Waits until a save of the job has begun in the directory of this epoch.
  absl::Status AwaitSave(const v1::Job& job, absl::Duration timeout);

  // `cherry ARGUMENTS...` against this cluster.
  CommandResult Cli(const std::vector<std::string>& arguments);
  // Bytes of the model and optimizer shards of a checkpoint.
  absl::StatusOr<std::map<std::string, std::string>> Shards(const v1::Checkpoint& checkpoint) const;

  const std::string& home() const { return home_; }
  // Both daemons' logs, for a failed test.
  std::string DaemonLogs() const;

 private:
  struct Client;
  explicit Cluster(const ClusterOptions& options);
  absl::Status Prepare();
  absl::Status WriteDataset();
  std::vector<std::string> Environment(const std::string& faults) const;

  const ClusterOptions options_;
  std::string home_;
  int port_ = 0;
  std::vector<int> metrics_ports_;
  v1::Dataset dataset_;
  std::unique_ptr<Client> client_;
  Process coordinator_;
  std::vector<std::unique_ptr<Process>> workers_;
};

// "namespaces/default/jobs/NAME"
std::string JobResource(const std::string& name);
bool Succeeded(const v1::Job& job);
bool Ended(const v1::Job& job);

}  // namespace cherry::integration

#endif  // CHERRY_TESTS_INTEGRATION_CLUSTER_H_
