#include "worker/parallel/gloo_collective.h"

#include <gloo/allreduce.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/tcp/device.h>

#include <chrono>
#include <deque>
#include <exception>
#include <map>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/status.h"

namespace cherry::trainer {
namespace {

// Gloo's view of a Rendezvous. Its errors leave through Gloo as exceptions and are caught in Guarded.
class Store final : public gloo::rendezvous::Store {
 public:
  Store(Rendezvous* rendezvous, std::string prefix, absl::Time deadline)
      : rendezvous_(rendezvous), prefix_(std::move(prefix)), deadline_(deadline) {}

  void set(const std::string& key, const std::vector<char>& data) override {
    const absl::Status status = rendezvous_->Put(prefix_ + key, std::string(data.begin(), data.end()));
    if (!status.ok()) {
      throw std::runtime_error(std::string(status.message()));
    }
  }
  std::vector<char> get(const std::string& key) override {
    const std::string& value = Fetch(key);
    return std::vector<char>(value.begin(), value.end());
  }
  void wait(const std::vector<std::string>& keys) override {
    for (const std::string& key : keys) {
      Fetch(key);
    }
  }
  // Gloo's own version forgets the timeout; the deadline covers the whole rendezvous.
  void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds&) override { wait(keys); }

 private:
  const std::string& Fetch(const std::string& key) {
    const auto found = values_.find(key);
    if (found != values_.end()) {
      return found->second;
    }
    absl::StatusOr<std::string> value = rendezvous_->Get(prefix_ + key, deadline_);
    if (!value.ok()) {
      throw std::runtime_error(std::string(value.status().message()));
    }
    return values_[key] = *std::move(value);
  }

  Rendezvous* const rendezvous_;
  const std::string prefix_;
  const absl::Time deadline_;
  std::map<std::string, std::string> values_;
};

template <typename Operation>
absl::Status Guarded(absl::string_view what, const Operation& operation) {
  try {
    operation();
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return PeerLost(absl::StrCat(what, ": ", error.what()));
  }
}

class GlooCollective final : public Collective {
 public:
  explicit GlooCollective(std::shared_ptr<gloo::rendezvous::Context> context)
      : context_(std::move(context)) {}

  ~GlooCollective() override {
    if (thread_.joinable()) {
      {
        absl::MutexLock lock(&mutex_);
        stopping_ = true;
      }
      thread_.join();
    }
  }

  int rank() const override { return context_->rank; }
  int world_size() const override { return context_->size; }

  absl::Status AllReduceSum(absl::Span<float> values) override { return Sum("all-reduce", values); }
  absl::Status AllReduceSum(absl::Span<double> values) override { return Sum("all-reduce", values); }

  absl::Status Broadcast(absl::Span<char> bytes, int root) override {
    if (bytes.empty()) {
      return absl::OkStatus();
    }
    return Guarded("broadcast", [&] {
      gloo::BroadcastOptions options(context_);
      options.setOutput(bytes.data(), bytes.size());
      options.setRoot(root);
      options.setTag(NextTag());
      gloo::broadcast(options);
    });
  }

  absl::Status Barrier() override {
    return Guarded("barrier", [&] {
      gloo::BarrierOptions options(context_);
      options.setTag(NextTag());
      gloo::barrier(options);
    });
  }

  void Start(absl::Span<float> values) override {
    if (!thread_.joinable()) {
      thread_ = std::thread([this] { RunQueue(); });
    }
    absl::MutexLock lock(&mutex_);
    queue_.push_back(values);
    ++pending_;
  }

  absl::Status Wait() override {
    absl::MutexLock lock(&mutex_);
    const auto done = [this] { return pending_ == 0; };
    mutex_.Await(absl::Condition(&done));
    return queue_status_;
  }

 private:
  template <typename T>
  absl::Status Sum(absl::string_view what, absl::Span<T> values) {
    if (values.empty()) {
      return absl::OkStatus();
    }
    return Guarded(what, [&] {
      gloo::AllreduceOptions options(context_);
      options.setOutput(values.data(), values.size());
      options.setReduceFunction(
          static_cast<void (*)(void*, const void*, const void*, size_t)>(&gloo::sum<T>));
      // A ring adds each element along the ranks in one fixed order.
      options.setAlgorithm(gloo::AllreduceOptions::Algorithm::RING);
      options.setTag(NextTag());
      gloo::allreduce(options);
    });
  }

  // Messages of neighbouring operations must not be taken for each other.
  uint32_t NextTag() { return tag_++; }

  // The communication thread: what was started, in order. After an error the rest is not tried.
  void RunQueue() {
    while (true) {
      absl::Span<float> values;
      bool broken = false;
      {
        absl::MutexLock lock(&mutex_);
        const auto ready = [this] { return stopping_ || !queue_.empty(); };
        mutex_.Await(absl::Condition(&ready));
        if (stopping_) {
          return;
        }
        values = queue_.front();
        queue_.pop_front();
        broken = !queue_status_.ok();
      }
      absl::Status status = broken ? absl::OkStatus() : Sum("gradient all-reduce", values);
      absl::MutexLock lock(&mutex_);
      if (!status.ok()) {
        queue_status_ = std::move(status);
      }
      --pending_;
    }
  }

  const std::shared_ptr<gloo::rendezvous::Context> context_;
  uint32_t tag_ = 0;
  std::thread thread_;
  absl::Mutex mutex_;
  std::deque<absl::Span<float>> queue_;  // This and what follows: guarded by mutex_.
  int64_t pending_ = 0;
  bool stopping_ = false;
  absl::Status queue_status_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> MakeGloo(const GlooOptions& options, Rendezvous* rendezvous) {
  std::shared_ptr<gloo::transport::Device> device;
  try {
    device = gloo::transport::tcp::CreateDevice(options.address.c_str());
  } catch (const std::exception& error) {
    return InvalidField(
        "ADDRESS_UNUSABLE", "collective_address",
        absl::StrCat("cannot listen on ", options.address, " for collectives: ", error.what()),
        "give the worker an address of this host with --address");
  }
  const absl::Time deadline = absl::Now() + options.rendezvous_timeout;
  std::shared_ptr<gloo::rendezvous::Context> context;
  const absl::Status connected = Guarded("rendezvous", [&] {
    context = std::make_shared<gloo::rendezvous::Context>(options.rank, options.world_size);
    context->setTimeout(absl::ToChronoMilliseconds(options.rendezvous_timeout));
    Store store(rendezvous, absl::StrCat("gloo/", options.context, "/"), deadline);
    context->connectFullMesh(store, device);
    context->setTimeout(absl::ToChronoMilliseconds(options.timeout));
  });
  RETURN_IF_ERROR(connected);
  return std::make_unique<GlooCollective>(std::move(context));
}

}  // namespace cherry::trainer
