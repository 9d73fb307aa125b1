// Plays worker and coordinator for real cherry-trainer processes: starts the ranks of an attempt, answers
// their rendezvous, commits their checkpoints, and collects what they say.
//
// One thread; every wait has a deadline.
#ifndef CHERRY_TESTS_UNIT_WORKER_TRAINER_DRIVER_H_
#define CHERRY_TESTS_UNIT_WORKER_TRAINER_DRIVER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "cherry/v1/trainer.pb.h"
#include "common/frame.h"
#include "common/spec.h"

namespace cherry::trainer {

// A data root with one small dataset "ko" and an empty checkpoint root, in a directory of their own that goes
// with the object.
class Workspace {
 public:
  Workspace();
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  const std::string& path() const { return path_; }
  std::string data_root() const { return path_ + "/data"; }
  std::string checkpoint_root() const { return path_ + "/checkpoints"; }
  const v1::Dataset& dataset() const { return dataset_; }

  // A resolved pretrain spec of a small model on that dataset.
  v1::JobSpec Spec(int64_t steps) const;
  // A resolved spec of selective training from such a model.
  v1::JobSpec SgtSpec(int64_t steps, v1::SgtConfig::Selector selector) const;
  // A resolved spec that makes one layer of the two, and loops over it four times in the end.
  v1::JobSpec CompressSpec(int64_t steps, v1::UnrollConfig::Start start = v1::UnrollConfig::LOWEST) const;
  // A resolved spec that makes two such models the experts of one, balanced without a loss, with a chain of
  // two.
  v1::JobSpec FuseSpec(int64_t steps) const;
  // A resolved spec that measures models against the first of them.
  v1::JobSpec EvaluateSpec() const;
  // An attempt of it.
  v1::StartAttempt Attempt(const v1::JobSpec& spec, int64_t epoch, int world_size) const;
  // The same, from `start`, which is also the reference.
  v1::StartAttempt MethodAttempt(const v1::JobSpec& spec, const v1::Checkpoint& start, int64_t epoch,
                                 int world_size) const;

 private:
  // `spec` as the coordinator would resolve it with these datasets, and `context` for the rest.
  v1::JobSpec Resolved(const v1::JobSpec& spec, SpecContext context) const;

  std::string path_;
  v1::Dataset dataset_;
};

struct RankResult {
  int exit_code = -1;  // -1 when a signal ended it.
  int signal = 0;
  std::optional<v1::RankFinished> finished;
  std::string log;
};

struct AttemptResult {
  std::vector<RankResult> ranks;
  std::vector<v1::StepReport> steps;        // Of rank 0.
  std::vector<v1::Checkpoint> checkpoints;  // Committed, newest first: fit for StartAttempt.resume.
  std::vector<v1::AttemptNote> notes;
  bool timed_out = false;

  // Value of the named series at a step; fails the test when it is not there.
  double Metric(const std::string& name, int64_t step) const;
  const v1::AttemptNote* FindNote(const std::string& type) const;
};

class Driver {
 public:
  struct Options {
    int threads = 1;
    std::vector<int> threads_of_rank;                // Instead of `threads`.
    std::map<std::string, std::string> environment;  // Added to the test's own.
    int64_t largest_file = 0;                        // RLIMIT_FSIZE of the trainers; 0 means none.
    bool commit = true;                              // Answer checkpoint reports.
    v1::Slot slot;
    absl::Duration deadline = absl::Seconds(100);
    // Called with each message of each rank.
    std::function<void(Driver*, int rank, const v1::FromTrainer&)> on_message;
  };

  Driver(const Workspace& workspace, const v1::StartAttempt& attempt, Options options);
  ~Driver();

  // Runs the attempt until every rank has ended.
  AttemptResult Run();

  void Stop(bool checkpoint);
  void Kill(int rank, int signal);
  void Commit(int64_t step);
  // As when the worker dies.
  void HangUp(int rank);

 private:
  struct Rank {
    pid_t pid = -1;
    int fd = -1;
    FrameParser parser;
    RankResult result;
  };

  void Start(int rank);
  void Exec(int rank, int fd);
  void Receive(int rank);
  void Handle(int rank, const v1::FromTrainer& message);
  void AnswerGets();
  void Reap(int rank);
  void Send(int rank, const v1::ToTrainer& message);
  std::string LogPath(int rank) const;

  const Workspace& workspace_;
  v1::StartAttempt attempt_;
  Options options_;
  std::vector<Rank> ranks_;
  std::map<std::string, std::string> store_;
  std::vector<std::pair<int, std::string>> waiting_;  // Rendezvous gets without an answer yet.
  AttemptResult result_;
};

// Convenience: one attempt with default options.
AttemptResult RunAttempt(const Workspace& workspace, const v1::StartAttempt& attempt,
                         Driver::Options options = {});

}  // namespace cherry::trainer

#endif  // CHERRY_TESTS_UNIT_WORKER_TRAINER_DRIVER_H_
