#include "coordinator/store/rocks.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry::coordinator {
namespace {

constexpr const char* kNames[kFamilies] = {"default",  "jobs",      "checkpoints", "workers",
                                           "datasets", "requests",  "events",      "job_events",
                                           "metrics",  "pipelines", "models"};

rocksdb::DBOptions MakeOptions() {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.paranoid_checks = true;
  // A crash may leave a torn last record, which nobody was told of. Damage anywhere before it is loss of what
  // was acknowledged: then the process must not start.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  options.max_open_files = 256;
  options.keep_log_file_num = 3;
  options.max_total_wal_size = 64 << 20;
  return options;
}

}  // namespace

absl::Status FromRocks(const rocksdb::Status& status, absl::string_view what) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  const std::string message = absl::StrCat(what, ": ", status.ToString());
  if (status.IsNotFound()) {
    return absl::NotFoundError(message);
  }
  if (status.IsCorruption()) {
    return absl::DataLossError(message);
  }
  if (status.IsNoSpace()) {
    return absl::ResourceExhaustedError(message);
  }
  return absl::InternalError(message);
}

absl::StatusOr<std::unique_ptr<Rocks>> Rocks::Open(const std::string& directory) {
  rocksdb::ColumnFamilyOptions family_options;
  family_options.write_buffer_size = 16 << 20;
  family_options.compression = rocksdb::kNoCompression;
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const char* name : kNames) {
    descriptors.emplace_back(name, family_options);
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(MakeOptions(), directory, descriptors, &handles, &db);
  if (opened.IsIOError() && opened.ToString().find("lock") != std::string::npos) {
    return Error(absl::StatusCode::kFailedPrecondition, "STORE_IN_USE", "--home",
                 absl::StrCat(directory, " is in use by another process"), "stop it, or use another --home");
  }
  RETURN_IF_ERROR(FromRocks(opened, absl::StrCat("opening ", directory)));
  std::unique_ptr<Rocks> rocks(new Rocks());
  rocks->db_.reset(db);
  for (int i = 0; i < kFamilies; ++i) {
    rocks->families_[i] = handles[i];
  }
  return rocks;
}

Rocks::~Rocks() {
  if (db_ == nullptr) {
    return;
  }
  for (rocksdb::ColumnFamilyHandle* family : families_) {
    // Destroying a handle fails only for a null one.
    db_->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }
  // Everything is in the log: closing loses nothing when it fails.
  db_->Close().PermitUncheckedError();
}

absl::Status Rocks::Scan(Family family, const std::string& prefix, const std::string& begin,
                         const std::function<bool(absl::string_view, absl::string_view)>& visit) {
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(rocksdb::ReadOptions(), families_[family]));
  for (it->Seek(begin.empty() ? prefix : begin); it->Valid() && it->key().starts_with(prefix); it->Next()) {
    if (!visit(absl::string_view(it->key().data(), it->key().size()),
               absl::string_view(it->value().data(), it->value().size()))) {
      break;
    }
  }
  return FromRocks(it->status(), kNames[family]);
}

}  // namespace cherry::coordinator
