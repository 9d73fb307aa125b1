// Saves beside training: the step stops only while the state is copied.
#ifndef CHERRY_WORKER_CHECKPOINT_SAVER_H_
#define CHERRY_WORKER_CHECKPOINT_SAVER_H_

#include <functional>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "worker/checkpoint/save.h"

namespace cherry::trainer {

// One save at a time. Start, state and Flush belong to one thread; status is thread-safe.
class Saver {
 public:
  // Called on the saver's thread when the manifest of a save is in place.
  using Published = std::function<absl::Status(const SaveRequest&, const SavedCheckpoint&)>;

  // `state` holds the layout and buffers of their final size.
  Saver(HostState state, Published published);
  // Waits for the save under way.
  ~Saver();
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;

  // The buffers to copy into. Waits for the save under way first; untouched until Start.
  HostState* AcquireState();
  // Writes the state as `request` says, on the saver's thread.
  void Start(SaveRequest request);
  // Waits for the save under way and returns `status`.
  absl::Status Flush();
  // The first error of any save. After one nothing more is saved.
  absl::Status status() const;

 private:
  void Run();
  void WaitIdle() const;

  const Published published_;
  HostState state_;
  mutable absl::Mutex mutex_;
  std::optional<SaveRequest> request_;  // This and what follows: guarded by mutex_.
  bool stopping_ = false;
  absl::Status status_;
  std::thread thread_;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_CHECKPOINT_SAVER_H_
