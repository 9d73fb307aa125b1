// A server stream fed by "something may have changed": fetch, write what was found, fetch again, until
// nothing is new; then wait for the next wake.
#ifndef CHERRY_COORDINATOR_API_PUMP_STREAM_H_
#define CHERRY_COORDINATOR_API_PUMP_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "coordinator/api/admission.h"
#include "coordinator/api/watch_hub.h"

namespace cherry::coordinator {

// Thread-safe. Created by Launch, which lets it own itself until its call is done.
template <typename Response>
class PumpStream : public grpc::ServerWriteReactor<Response>,
                   public Watcher,
                   public std::enable_shared_from_this<PumpStream<Response>> {
 public:
  // Begins with the first wake, or ends at once when the call was not admitted.
  static grpc::ServerWriteReactor<Response>* Launch(const std::shared_ptr<PumpStream>& stream,
                                                    const absl::Status& admitted) {
    stream->self_ = stream;
    if (admitted.ok()) {
      stream->Wake();
    } else {
      stream->Close(admitted);
    }
    return stream.get();
  }

  void Wake() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      dirty_ = true;
      if (busy_ || finished_) {
        return;
      }
      busy_ = true;
      dirty_ = false;
    }
    Fetch();
  }

  void Close(const absl::Status& status) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!end_.has_value()) {
      end_ = status;
    }
    if (!busy_) {
      FinishLocked();
    }
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      Close(absl::CancelledError("the client has gone"));
    }
    Continue();
  }
  void OnCancel() override { Close(absl::CancelledError("the client has gone")); }
  void OnDone() override { const std::shared_ptr<PumpStream> last = std::move(self_); }

 protected:
  // Finds what is new and calls Deliver once, from any thread. One runs at a time.
  virtual void Fetch() = 0;

  // Nothing: wait for a wake. With `end`, the stream ends with it after the response, if any.
  void Deliver(std::optional<Response> response, std::optional<absl::Status> end = std::nullopt) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (end.has_value() && !end_.has_value()) {
        end_ = std::move(end);
        last_ = response.has_value();
      }
      if (response.has_value() && (!end_.has_value() || last_)) {
        last_ = false;
        written_ = *std::move(response);
        again_ = true;
        this->StartWrite(&written_);
        return;
      }
      again_ = false;
    }
    Continue();
  }

 private:
  void Continue() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (end_.has_value()) {
        busy_ = false;
        FinishLocked();
        return;
      }
      if (!again_ && !dirty_) {
        busy_ = false;
        return;
      }
      again_ = false;
      dirty_ = false;
    }
    Fetch();
  }

  void FinishLocked() {
    if (!finished_) {
      finished_ = true;
      this->Finish(ToGrpc(*end_));
    }
  }

  std::mutex mutex_;
  // Guarded by mutex_.
  bool busy_ = false;   // A fetch or a write is under way.
  bool dirty_ = false;  // Woken meanwhile.
  bool again_ = false;  // The last fetch found something: there may be more.
  bool last_ = false;   // The response that goes with the end is still to be written.
  bool finished_ = false;
  std::optional<absl::Status> end_;
  Response written_;
  std::shared_ptr<PumpStream> self_;
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_PUMP_STREAM_H_
