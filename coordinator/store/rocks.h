// What the store's files share: the database with its column families, and iteration over a prefix.
#ifndef CHERRY_COORDINATOR_STORE_ROCKS_H_
#define CHERRY_COORDINATOR_STORE_ROCKS_H_

#include <rocksdb/db.h>

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry::coordinator {

enum Family {
  kCluster,
  kJobs,
  kCheckpoints,
  kWorkers,
  kDatasets,
  kRequests,
  kEvents,
  kJobEvents,
  kMetrics,
  kPipelines,
  kModels,
  kFamilies
};

absl::Status FromRocks(const rocksdb::Status& status, absl::string_view what);

// Owns the database. Thread-safe as RocksDB is.
class Rocks {
 public:
  static absl::StatusOr<std::unique_ptr<Rocks>> Open(const std::string& directory);
  ~Rocks();
  Rocks(const Rocks&) = delete;
  Rocks& operator=(const Rocks&) = delete;

  rocksdb::DB* db() { return db_.get(); }
  rocksdb::ColumnFamilyHandle* family(Family family) { return families_[family]; }

  // Calls `visit` for each key with the prefix from `begin` on, until it returns false.
  absl::Status Scan(Family family, const std::string& prefix, const std::string& begin,
                    const std::function<bool(absl::string_view key, absl::string_view value)>& visit);

 private:
  Rocks() = default;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, kFamilies> families_{};
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_STORE_ROCKS_H_
