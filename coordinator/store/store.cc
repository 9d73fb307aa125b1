#include "coordinator/store/store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/fault_points.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/status.h"
#include "coordinator/store/keys.h"
#include "coordinator/store/rocks.h"
#include "coordinator/store/series.h"

namespace cherry::coordinator {
namespace {

constexpr int64_t kFormat = 1;
constexpr char kClusterKey[] = "cluster";

std::string CheckpointKeyBytes(const CheckpointKey& key) {
  return StringKey(key.uid) + NumberKey(key.step) + NumberKey(key.epoch);
}

// Adds records to one batch. RocksDB refuses only what does not fit into memory.
class BatchWriter {
 public:
  explicit BatchWriter(Rocks* rocks) : rocks_(rocks) {}

  void Put(Family family, const std::string& key, const google::protobuf::MessageLite& message) {
    Check(batch_.Put(rocks_->family(family), key, message.SerializeAsString()));
  }
  void Delete(Family family, const std::string& key) { Check(batch_.Delete(rocks_->family(family), key)); }

  void Add(const Changes& changes) {
    if (changes.empty()) {
      return;
    }
    for (const v1::JobRecord& record : changes.put_jobs) {
      Put(kJobs, record.job().uid(), record);
    }
    for (const v1::Checkpoint& checkpoint : changes.put_checkpoints) {
      Put(kCheckpoints, CheckpointKeyBytes({checkpoint.job_uid(), checkpoint.step(), checkpoint.epoch()}),
          checkpoint);
    }
    for (const CheckpointKey& key : changes.delete_checkpoints) {
      Delete(kCheckpoints, CheckpointKeyBytes(key));
    }
    for (const v1::WorkerRecord& record : changes.put_workers) {
      Put(kWorkers, record.worker().name(), record);
    }
    for (const std::string& name : changes.delete_workers) {
      Delete(kWorkers, name);
    }
    for (const v1::Dataset& dataset : changes.put_datasets) {
      Put(kDatasets, dataset.name(), dataset);
    }
    for (const v1::PipelineRecord& record : changes.put_pipelines) {
      Put(kPipelines, record.pipeline().uid(), record);
    }
    for (const v1::Model& model : changes.put_models) {
      Put(kModels, model.uid(), model);
    }
    for (const v1::RequestRecord& record : changes.put_requests) {
      Put(kRequests, record.request_id(), record);
    }
    for (const std::string& id : changes.delete_requests) {
      Delete(kRequests, id);
    }
    for (const v1::Event& event : changes.put_events) {
      Put(kEvents, NumberKey(event.sequence()), event);
      if (!event.job_uid().empty()) {
        Put(kJobEvents, StringKey(event.job_uid()) + NumberKey(event.sequence()), event);
      }
    }
    Put(kCluster, kClusterKey, changes.cluster);
  }

  absl::Status status() const { return FromRocks(status_, "batch"); }
  rocksdb::WriteBatch* batch() { return &batch_; }

 private:
  void Check(const rocksdb::Status& status) {
    if (!status.ok() && status_.ok()) {
      status_ = status;
    }
  }
  Rocks* const rocks_;
  rocksdb::WriteBatch batch_;
  rocksdb::Status status_;
};

class RocksStore final : public Store {
 public:
  explicit RocksStore(std::unique_ptr<Rocks> rocks)
      : rocks_(std::move(rocks)), series_(rocks_.get(), kFullResolution) {}

  absl::Status CheckFormat() {
    std::string bytes;
    const rocksdb::Status got =
        rocks_->db()->Get(rocksdb::ReadOptions(), rocks_->family(kCluster), kClusterKey, &bytes);
    if (got.IsNotFound()) {
      cluster_.set_format(kFormat);
      cluster_.set_cluster_id(NewUuid());
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(FromRocks(got, "cluster record"));
    if (!cluster_.ParseFromString(bytes)) {
      return absl::DataLossError("the store's cluster record cannot be read");
    }
    if (cluster_.format() != kFormat) {
      return Error(absl::StatusCode::kFailedPrecondition, "STORE_FORMAT_UNSUPPORTED", "--home",
                   absl::StrCat("the store has format ", cluster_.format(), ", this program knows ", kFormat),
                   "start the version that wrote it, or use another --home");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Records> Load() override {
    Records records;
    records.cluster = cluster_;
    RETURN_IF_ERROR(LoadFamily(kJobs, &records.jobs));
    RETURN_IF_ERROR(LoadFamily(kCheckpoints, &records.checkpoints));
    RETURN_IF_ERROR(LoadFamily(kWorkers, &records.workers));
    RETURN_IF_ERROR(LoadFamily(kDatasets, &records.datasets));
    RETURN_IF_ERROR(LoadFamily(kPipelines, &records.pipelines));
    RETURN_IF_ERROR(LoadFamily(kModels, &records.models));
    RETURN_IF_ERROR(LoadFamily(kRequests, &records.requests));
    for (v1::RequestRecord& record : records.requests) {
      record.clear_reply();
    }
    return records;
  }

  absl::Status Commit(const std::vector<Changes>& group) override {
    BatchWriter writer(rocks_.get());
    for (const Changes& changes : group) {
      writer.Add(changes);
    }
    RETURN_IF_ERROR(writer.status());
    if (writer.batch()->Count() == 0) {
      return absl::OkStatus();
    }
    rocksdb::WriteOptions options;
    options.sync = true;
    FaultPoint("store.before_sync");
    const absl::Time start = absl::Now();
    RETURN_IF_ERROR(FromRocks(rocks_->db()->Write(options, writer.batch()), "store"));
    sync_observer_(absl::ToDoubleSeconds(absl::Now() - start));
    FaultPoint("store.after_sync");
    return absl::OkStatus();
  }

  absl::Status AppendSamples(const std::vector<RecordSamples>& samples) override {
    return series_.Append(samples);
  }

  absl::StatusOr<std::string> ReadReply(const std::string& request_id) override {
    std::string bytes;
    RETURN_IF_ERROR(
        FromRocks(rocks_->db()->Get(rocksdb::ReadOptions(), rocks_->family(kRequests), request_id, &bytes),
                  "request record"));
    v1::RequestRecord record;
    if (!record.ParseFromString(bytes)) {
      return absl::DataLossError("a request record cannot be read");
    }
    return record.reply();
  }

  absl::StatusOr<std::vector<v1::Event>> ReadEvents(const std::string& uid, int64_t after,
                                                    int limit) override {
    const Family family = uid.empty() ? kEvents : kJobEvents;
    const std::string prefix = uid.empty() ? "" : StringKey(uid);
    std::vector<v1::Event> events;
    bool readable = true;
    RETURN_IF_ERROR(rocks_->Scan(
        family, prefix, prefix + NumberKey(after + 1), [&](absl::string_view, absl::string_view value) {
          if (static_cast<int>(events.size()) >= limit) {
            return false;
          }
          readable = events.emplace_back().ParseFromArray(value.data(), static_cast<int>(value.size()));
          return readable;
        }));
    if (!readable) {
      return absl::DataLossError("an event cannot be read");
    }
    return events;
  }

  absl::StatusOr<std::vector<v1::Event>> ReadLastEvents(const std::string& uid, int limit) override {
    const std::string prefix = StringKey(uid);
    const std::unique_ptr<rocksdb::Iterator> it(
        rocks_->db()->NewIterator(rocksdb::ReadOptions(), rocks_->family(kJobEvents)));
    std::vector<v1::Event> events;
    for (it->SeekForPrev(prefix + std::string(9, '\xff'));
         it->Valid() && it->key().starts_with(prefix) && static_cast<int>(events.size()) < limit;
         it->Prev()) {
      if (!events.emplace_back().ParseFromArray(it->value().data(), static_cast<int>(it->value().size()))) {
        return absl::DataLossError("an event cannot be read");
      }
    }
    RETURN_IF_ERROR(FromRocks(it->status(), "events"));
    std::reverse(events.begin(), events.end());
    return events;
  }

  absl::StatusOr<std::vector<v1::MetricSample>> ReadSamples(const std::string& uid, const std::string& name,
                                                            int64_t after_step, const std::string& resume,
                                                            int limit, std::string* next) override {
    return series_.Read(uid, name, after_step, resume, limit, next);
  }

  absl::StatusOr<std::vector<v1::MetricSample>> ReadNewest(const std::string& uid) override {
    return series_.ReadNewest(uid);
  }

 private:
  template <typename Record>
  absl::Status LoadFamily(Family family, std::vector<Record>* records) {
    bool readable = true;
    RETURN_IF_ERROR(rocks_->Scan(family, "", "", [&](absl::string_view, absl::string_view value) {
      readable = records->emplace_back().ParseFromArray(value.data(), static_cast<int>(value.size()));
      return readable;
    }));
    return readable ? absl::OkStatus() : absl::DataLossError("a record of the store cannot be read");
  }

  std::unique_ptr<Rocks> rocks_;
  Series series_;
  v1::ClusterRecord cluster_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& directory) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  ASSIGN_OR_RETURN(std::unique_ptr<Rocks> rocks, Rocks::Open(directory));
  auto store = std::make_unique<RocksStore>(std::move(rocks));
  RETURN_IF_ERROR(store->CheckFormat());
  return store;
}

}  // namespace cherry::coordinator
