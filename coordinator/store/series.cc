#include "coordinator/store/series.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/store/keys.h"

namespace cherry::coordinator {
namespace {

// Value: value and time, two doubles.
std::string EncodePoint(const v1::MetricSample& sample) {
  const double pair[2] = {sample.value(), sample.time()};
  std::string bytes(sizeof(pair), '\0');
  std::memcpy(bytes.data(), pair, sizeof(pair));
  return bytes;
}

// Key: uid 0 name 0 step.
bool DecodePoint(absl::string_view key, absl::string_view value, size_t uid_bytes, v1::MetricSample* sample) {
  double pair[2];
  if (value.size() != sizeof(pair) || key.size() < uid_bytes + 1 + 8) {
    return false;
  }
  std::memcpy(pair, value.data(), sizeof(pair));
  sample->set_name(std::string(key.substr(uid_bytes, key.size() - uid_bytes - 9)));
  sample->set_step(LastNumber(key));
  sample->set_value(pair[0]);
  sample->set_time(pair[1]);
  return true;
}

bool IsUsable(const v1::MetricSample& sample) {
  return !sample.name().empty() && sample.name().size() <= 128 &&
         sample.name().find('\0') == std::string::npos;
}

}  // namespace

absl::Status Series::Append(const std::vector<RecordSamples>& samples) {
  rocksdb::WriteBatch batch;
  std::vector<std::string> full;
  for (const RecordSamples& record : samples) {
    for (const v1::MetricSample& sample : record.samples) {
      if (!IsUsable(sample)) {
        continue;
      }
      const std::string prefix = StringKey(record.uid) + StringKey(sample.name());
      auto known = points_.find(prefix);
      if (known == points_.end()) {
        ASSIGN_OR_RETURN(const int64_t count, CountPoints(prefix));
        known = points_.emplace(prefix, count).first;
      }
      RETURN_IF_ERROR(FromRocks(
          batch.Put(rocks_->family(kMetrics), prefix + NumberKey(sample.step()), EncodePoint(sample)),
          "metrics"));
      if (++known->second > most_points_) {
        full.push_back(prefix);
      }
    }
  }
  RETURN_IF_ERROR(FromRocks(rocks_->db()->Write(rocksdb::WriteOptions(), &batch), "metrics"));
  for (const std::string& prefix : full) {
    if (points_[prefix] > most_points_) {
      RETURN_IF_ERROR(Thin(prefix));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Series::CountPoints(const std::string& prefix) {
  int64_t count = 0;
  RETURN_IF_ERROR(rocks_->Scan(kMetrics, prefix, "", [&count](absl::string_view, absl::string_view) {
    ++count;
    return true;
  }));
  return count;
}

// Drops every second point of the older half. A job that goes back to an earlier step writes some points
// twice, so the count may be too high: then there is nothing to drop yet.
absl::Status Series::Thin(const std::string& prefix) {
  ASSIGN_OR_RETURN(const int64_t count, CountPoints(prefix));
  points_[prefix] = count;
  if (count <= most_points_) {
    return absl::OkStatus();
  }
  rocksdb::WriteBatch batch;
  int64_t index = 0;
  RETURN_IF_ERROR(rocks_->Scan(kMetrics, prefix, "", [&](absl::string_view key, absl::string_view) {
    if (index % 2 == 1 &&
        batch.Delete(rocks_->family(kMetrics), rocksdb::Slice(key.data(), key.size())).ok()) {
      --points_[prefix];
    }
    return ++index < count / 2;
  }));
  return FromRocks(rocks_->db()->Write(rocksdb::WriteOptions(), &batch), "metrics");
}

absl::StatusOr<std::vector<v1::MetricSample>> Series::Read(const std::string& uid, const std::string& name,
                                                           int64_t after_step, const std::string& resume,
                                                           int limit, std::string* next) {
  const std::string uid_key = StringKey(uid);
  const std::string prefix = name.empty() ? uid_key : uid_key + StringKey(name);
  // One series is ordered by step: begin right behind after_step.
  const std::string begin = !resume.empty() ? uid_key + resume + '\0'
                            : name.empty()  ? ""
                                            : prefix + NumberKey(after_step + 1);
  std::vector<v1::MetricSample> samples;
  next->clear();
  std::string last;
  RETURN_IF_ERROR(rocks_->Scan(kMetrics, prefix, begin, [&](absl::string_view key, absl::string_view value) {
    v1::MetricSample sample;
    if (!DecodePoint(key, value, uid_key.size(), &sample) || sample.step() <= after_step) {
      return true;
    }
    if (static_cast<int>(samples.size()) == limit) {
      *next = last;
      return false;
    }
    last = std::string(key.substr(uid_key.size()));
    samples.push_back(std::move(sample));
    return true;
  }));
  return samples;
}

absl::StatusOr<std::vector<v1::MetricSample>> Series::ReadNewest(const std::string& uid) {
  const std::string uid_key = StringKey(uid);
  const std::unique_ptr<rocksdb::Iterator> it(
      rocks_->db()->NewIterator(rocksdb::ReadOptions(), rocks_->family(kMetrics)));
  std::vector<v1::MetricSample> newest;
  for (it->Seek(uid_key); it->Valid() && it->key().starts_with(uid_key);) {
    // From the series' first point to its last, then behind it.
    const std::string prefix = it->key().ToString().substr(0, it->key().size() - 8);
    it->SeekForPrev(prefix + std::string(8, '\xff'));
    v1::MetricSample sample;
    if (it->Valid() &&
        DecodePoint(absl::string_view(it->key().data(), it->key().size()),
                    absl::string_view(it->value().data(), it->value().size()), uid_key.size(), &sample)) {
      newest.push_back(std::move(sample));
    }
    it->Seek(prefix + std::string(9, '\xff'));
  }
  RETURN_IF_ERROR(FromRocks(it->status(), "metrics"));
  return newest;
}

}  // namespace cherry::coordinator
