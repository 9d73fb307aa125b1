#include "coordinator/api/watch_streams.h"

#include <algorithm>
#include <deque>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/api/pump_stream.h"
#include "coordinator/core/machines.h"

namespace cherry::coordinator {
namespace {

constexpr int kSamplesPerMessage = 1000;
constexpr int kEventsPerRead = 100;
constexpr int64_t kLogBytesPerMessage = 64 << 10;

// Finds the job of a name on the executor, then calls `found` there.
void FindJobOnce(const Services& services, const std::string& name,
                 const std::function<void(absl::StatusOr<v1::Job>)>& found) {
  services.executor->Call<v1::Job>([name](Core* core, Decision*) { return core->GetJob(name); }, found);
}

// The same by uid: the name may be another job's meanwhile.
void FindJobAgain(const Services& services, const std::string& uid,
                  const std::function<void(absl::StatusOr<v1::Job>)>& found) {
  services.executor->Call<v1::Job>([uid](Core* core, Decision*) { return core->GetJobByUid(uid); }, found);
}

class WatchJobStream final : public PumpStream<v1::WatchJobResponse> {
 public:
  WatchJobStream(const Services& services, const v1::WatchJobRequest& request)
      : services_(services), request_(request) {}

 private:
  void Fetch() override {
    auto self = std::static_pointer_cast<WatchJobStream>(shared_from_this());
    const auto found = [self](absl::StatusOr<v1::Job> job) {
      self->services_.reader->Post([self, job = std::move(job)] { self->OnJob(job); });
    };
    if (uid_.empty()) {
      FindJobOnce(services_, request_.name(), found);
    } else {
      FindJobAgain(services_, uid_, found);
    }
  }

  void OnJob(const absl::StatusOr<v1::Job>& job) {
    if (!job.ok()) {
      Deliver(std::nullopt, job.status());
      return;
    }
    if (uid_.empty()) {
      uid_ = job->uid();
      services_.hub->Watch(JobTopic(uid_), shared_from_this());
      SkipPast();
    }
    v1::WatchJobResponse response;
    const absl::Status read = ReadNew(&response);
    if (!read.ok()) {
      Deliver(std::nullopt, read);
      return;
    }
    const std::string bytes = job->SerializeAsString();
    const bool ends = IsTerminal(job->state()) && response.samples_size() < kSamplesPerMessage;
    if (bytes == sent_ && response.samples().empty() && !ends) {
      Deliver(std::nullopt);
      return;
    }
    sent_ = bytes;
    *response.mutable_job() = *job;
    Deliver(std::move(response), ends ? std::optional<absl::Status>(absl::OkStatus()) : std::nullopt);
  }

  // With after_step -1 the past is not wanted: each series begins behind its newest step.
  void SkipPast() {
    if (request_.after_step() >= 0) {
      return;
    }
    const absl::StatusOr<std::vector<v1::MetricSample>> newest = services_.store->ReadNewest(uid_);
    if (newest.ok()) {
      for (const v1::MetricSample& sample : *newest) {
        sent_steps_[sample.name()] = sample.step();
      }
    }
  }

  absl::Status ReadNew(v1::WatchJobResponse* response) {
    ASSIGN_OR_RETURN(const std::vector<v1::MetricSample> newest, services_.store->ReadNewest(uid_));
    for (const v1::MetricSample& last : newest) {
      int64_t& sent =
          sent_steps_.try_emplace(last.name(), std::max<int64_t>(request_.after_step(), -1)).first->second;
      if (last.step() <= sent) {
        continue;
      }
      std::string next;
      ASSIGN_OR_RETURN(const std::vector<v1::MetricSample> samples,
                       services_.store->ReadSamples(uid_, last.name(), sent, "",
                                                    kSamplesPerMessage - response->samples_size(), &next));
      for (const v1::MetricSample& sample : samples) {
        *response->add_samples() = sample;
        sent = sample.step();
      }
    }
    return absl::OkStatus();
  }

  const Services services_;
  const v1::WatchJobRequest request_;
  // Of the one fetch that is under way.
  std::string uid_;
  std::string sent_;
  std::map<std::string, int64_t> sent_steps_;  // By series.
};

class WatchEventsStream final : public PumpStream<v1::Event> {
 public:
  WatchEventsStream(const Services& services, const v1::WatchEventsRequest& request)
      : services_(services), name_(request.name()), after_(request.after_sequence()) {}

 private:
  void Fetch() override {
    auto self = std::static_pointer_cast<WatchEventsStream>(shared_from_this());
    if (watching_) {
      services_.reader->Post([self] { self->Next(); });
      return;
    }
    watching_ = true;
    services_.hub->Watch(kAllEvents, self);
    if (name_.empty()) {
      services_.reader->Post([self] { self->Next(); });
      return;
    }
    FindJobOnce(services_, name_, [self](absl::StatusOr<v1::Job> job) {
      if (!job.ok()) {
        self->Deliver(std::nullopt, job.status());
        return;
      }
      self->uid_ = job->uid();
      self->services_.reader->Post([self] { self->Next(); });
    });
  }

  void Next() {
    if (read_.empty()) {
      absl::StatusOr<std::vector<v1::Event>> events =
          services_.store->ReadEvents(uid_, after_, kEventsPerRead);
      if (!events.ok()) {
        Deliver(std::nullopt, events.status());
        return;
      }
      read_.assign(events->begin(), events->end());
    }
    if (read_.empty()) {
      Deliver(std::nullopt);
      return;
    }
    v1::Event event = std::move(read_.front());
    read_.pop_front();
    after_ = event.sequence();
    Deliver(std::move(event));
  }

  const Services services_;
  const std::string name_;
  // Of the one fetch that is under way.
  bool watching_ = false;
  std::string uid_;
  int64_t after_;
  std::deque<v1::Event> read_;
};

class ReadLogsStream final : public PumpStream<v1::ReadLogsResponse> {
 public:
  ReadLogsStream(const Services& services, const v1::ReadLogsRequest& request)
      : services_(services), request_(request) {}

 private:
  struct Found {
    v1::Job job;
    int64_t expected = 0;  // Bytes that the log will have at its end, while its worker is there to send them.
  };

  void Fetch() override {
    auto self = std::static_pointer_cast<ReadLogsStream>(shared_from_this());
    services_.executor->Call<Found>(
        [self](Core* core, Decision*) -> absl::StatusOr<Found> {
          const std::string& uid = self->log_.uid;
          Found found;
          ASSIGN_OR_RETURN(found.job,
                           uid.empty() ? core->GetJob(self->request_.name()) : core->GetJobByUid(uid));
          found.expected = self->Expected(*core, found.job);
          return found;
        },
        [self](absl::StatusOr<Found> found) {
          self->services_.reader->Post([self, found = std::move(found)] { self->OnFound(found); });
        });
  }

  // The newest one while none is asked for and the log has not begun.
  int64_t EpochOf(const v1::Job& job) const {
    return log_.epoch > 0           ? log_.epoch
           : request_.attempt() > 0 ? request_.attempt()
                                    : std::max<int64_t>(job.epoch(), 1);
  }

  // A worker that is lost, or another process by now, sends no more.
  int64_t Expected(const Core& core, const v1::Job& job) const {
    for (const v1::Attempt& attempt : job.attempts()) {
      if (attempt.epoch() != EpochOf(job) || request_.rank() < 0 || request_.rank() >= attempt.ranks_size()) {
        continue;
      }
      const v1::RankPlacement& rank = attempt.ranks(request_.rank());
      const absl::StatusOr<v1::Worker> worker = core.GetWorker(rank.worker());
      const bool there =
          worker.ok() && worker->state() != v1::Worker::LOST && worker->incarnation() == rank.incarnation();
      return there ? rank.log_bytes() : 0;
    }
    return 0;
  }

  // Which log, and from where. Errors end the stream.
  absl::Status Begin(const v1::Job& job) {
    if (request_.attempt() > job.epoch() || request_.attempt() < 0) {
      return Error(absl::StatusCode::kNotFound, "ATTEMPT_NOT_FOUND", "attempt",
                   absl::StrCat("attempt: ", request_.attempt(), ": ", job.name(), " has had ", job.epoch(),
                                " attempts"),
                   job.epoch() > 1 ? absl::StrCat("use 1..", job.epoch(), ", or leave it out for the newest")
                                   : "leave it out for the newest");
    }
    log_ = {job.resolved().namespace_(), job.uid(), EpochOf(job), request_.rank()};
    if (request_.follow()) {
      services_.hub->Watch(LogTopic(log_.uid), shared_from_this());
      services_.hub->Watch(JobTopic(log_.uid), shared_from_this());
    }
    if (request_.tail_lines() > 0) {
      ASSIGN_OR_RETURN(offset_, services_.logs->TailOffset(log_, request_.tail_lines()));
    }
    return absl::OkStatus();
  }

  // Of an attempt that is yet to come, or no longer listed, only the most ranks it may have are known.
  absl::Status CheckRank(const v1::Job& job) const {
    int ranks = job.resolved().resources().ranks().max();
    for (const v1::Attempt& attempt : job.attempts()) {
      ranks = attempt.epoch() == log_.epoch ? attempt.ranks_size() : ranks;
    }
    if (request_.rank() >= 0 && request_.rank() < ranks) {
      return absl::OkStatus();
    }
    return InvalidField("OUT_OF_RANGE", "rank",
                        absl::StrCat("rank: ", request_.rank(), ": ", job.name(), " has ", ranks,
                                     ranks == 1 ? " rank" : " ranks", " in attempt ", log_.epoch),
                        ranks == 1 ? "use 0" : absl::StrCat("use 0..", ranks - 1));
  }

  bool HasEnded(const v1::Job& job) const {
    for (const v1::Attempt& attempt : job.attempts()) {
      if (attempt.epoch() == log_.epoch) {
        return attempt.state() == v1::Attempt::ENDED;
      }
    }
    return IsTerminal(job.state()) || job.epoch() > log_.epoch;
  }

  // An attempt has ended before its log when reports overtake what is left of it, as they do after an outage.
  bool Ends(const Found& found) {
    if (!request_.follow()) {
      return true;
    }
    if (!HasEnded(found.job)) {
      return false;
    }
    if (offset_ >= found.expected) {
      return true;
    }
    if (!watches_workers_) {
      watches_workers_ = true;
      services_.hub->Watch(kAllEvents, shared_from_this());
      Wake();  // It may have been lost meanwhile.
    }
    return false;
  }

  void OnFound(const absl::StatusOr<Found>& found) {
    absl::Status status = found.status();
    if (status.ok() && log_.uid.empty()) {
      status = Begin(found->job);
    }
    if (status.ok()) {
      status = CheckRank(found->job);
    }
    if (!status.ok()) {
      Deliver(std::nullopt, status);
      return;
    }
    absl::StatusOr<LogPiece> piece = services_.logs->Read(log_, offset_, kLogBytesPerMessage);
    if (!piece.ok()) {
      Deliver(std::nullopt, piece.status());
      return;
    }
    if (piece->data.empty()) {
      Deliver(std::nullopt, Ends(*found) ? std::optional<absl::Status>(absl::OkStatus()) : std::nullopt);
      return;
    }
    v1::ReadLogsResponse response;
    response.set_offset(piece->offset);
    response.set_data(std::move(piece->data));
    offset_ = response.offset() + static_cast<int64_t>(response.data().size());
    Deliver(std::move(response));
  }

  const Services services_;
  const v1::ReadLogsRequest request_;
  // Of the one fetch that is under way.
  LogName log_;
  int64_t offset_ = 0;
  bool watches_workers_ = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::WatchJobResponse>* MakeWatchJob(const Services& services,
                                                             grpc::CallbackServerContext* context,
                                                             const v1::WatchJobRequest* request) {
  return WatchJobStream::Launch(std::make_shared<WatchJobStream>(services, *request),
                                Admit(services, *context, "WatchJob").status());
}

grpc::ServerWriteReactor<v1::Event>* MakeWatchEvents(const Services& services,
                                                     grpc::CallbackServerContext* context,
                                                     const v1::WatchEventsRequest* request) {
  return WatchEventsStream::Launch(std::make_shared<WatchEventsStream>(services, *request),
                                   Admit(services, *context, "WatchEvents").status());
}

grpc::ServerWriteReactor<v1::ReadLogsResponse>* MakeReadLogs(const Services& services,
                                                             grpc::CallbackServerContext* context,
                                                             const v1::ReadLogsRequest* request) {
  return ReadLogsStream::Launch(std::make_shared<ReadLogsStream>(services, *request),
                                Admit(services, *context, "ReadLogs").status());
}

}  // namespace cherry::coordinator
