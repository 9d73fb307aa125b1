#include "worker/agent/log_store.h"

#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/file.h"
#include "common/log.h"
#include "common/status.h"

namespace cherry::worker {
namespace {

// "epoch-12" with the prefix "epoch-" gives 12.
template <typename T>
bool ParseNumbered(absl::string_view name, absl::string_view prefix, absl::string_view suffix, T* number) {
  return absl::ConsumePrefix(&name, prefix) && absl::ConsumeSuffix(&name, suffix) &&
         absl::SimpleAtoi(name, number);
}

}  // namespace

LogStore::LogStore(std::string directory, std::function<void()> on_data)
    : directory_(std::move(directory)), on_data_(std::move(on_data)) {}

std::string LogStore::PathOf(const RankKey& key) const {
  return absl::StrCat(directory_, "/", key.ToString(), ".log");
}

absl::Status LogStore::AdoptLeftOvers() {
  RETURN_IF_ERROR(MakeDirectories(directory_, 0700));
  ASSIGN_OR_RETURN(const std::vector<std::string> uids, ListDirectory(directory_));
  for (const std::string& uid : uids) {
    const auto epochs = ListDirectory(absl::StrCat(directory_, "/", uid));
    for (const std::string& epoch : epochs.ok() ? *epochs : std::vector<std::string>()) {
      RankKey key;
      key.attempt.job_uid = uid;
      if (!ParseNumbered(epoch, "epoch-", "", &key.attempt.epoch)) {
        continue;
      }
      const auto ranks = ListDirectory(absl::StrCat(directory_, "/", uid, "/", epoch));
      for (const std::string& rank : ranks.ok() ? *ranks : std::vector<std::string>()) {
        if (!ParseNumbered(rank, "rank-", ".log", &key.rank)) {
          continue;
        }
        ASSIGN_OR_RETURN(const std::shared_ptr<RankLog> log, Open(key));
        log->Close();
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<RankLog>> LogStore::Open(const RankKey& key) {
  ASSIGN_OR_RETURN(std::unique_ptr<RankLog> opened, RankLog::Open(PathOf(key)));
  std::shared_ptr<RankLog> log = std::move(opened);
  const std::lock_guard<std::mutex> lock(mutex_);
  entries_[key].log = log;
  return log;
}

void LogStore::Touched(const RankKey& key) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto entry = entries_.find(key);
    if (entry != entries_.end()) {
      RemoveIfFinished(entry);
    }
  }
  on_data_();
}

std::optional<v1::LogChunk> LogStore::Next() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto& [key, entry] : entries_) {
    if (entry.under_way || entry.kept >= entry.log->size()) {
      continue;
    }
    auto bytes = entry.log->Read(entry.kept, kChunkBytes);
    if (!bytes.ok()) {
      LogWarning(absl::StrCat("a log cannot be read back: ", Describe(bytes.status())));
      entry.kept = entry.log->size();
      continue;
    }
    entry.under_way = true;
    entry.sent = entry.kept;
    v1::LogChunk chunk;
    *chunk.mutable_attempt() = RefOf(key.attempt);
    chunk.set_rank(key.rank);
    chunk.set_offset(entry.kept);
    chunk.set_data(*std::move(bytes));
    return chunk;
  }
  return std::nullopt;
}

void LogStore::OnAck(const v1::LogAck& ack) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto entry = entries_.find({KeyOf(ack.attempt()), ack.rank()});
    if (entry == entries_.end()) {
      return;
    }
    const bool refused = entry->second.under_way && ack.offset() == entry->second.sent;
    entry->second.under_way = false;
    entry->second.kept = refused ? INT64_MAX : ack.offset();
    RemoveIfFinished(entry);
  }
  on_data_();
}

void LogStore::RemoveIfFinished(std::map<RankKey, Entry>::iterator entry) {
  const RankLog& log = *entry->second.log;
  if (!log.closed() || entry->second.kept < log.size()) {
    return;
  }
  // Directories go with their last file; until then rmdir refuses, which is what is wanted.
  const std::string path = log.path();
  unlink(path.c_str());
  const std::string epoch = path.substr(0, path.rfind('/'));
  if (rmdir(epoch.c_str()) == 0) {
    rmdir(epoch.substr(0, epoch.rfind('/')).c_str());
  }
  entries_.erase(entry);
}

void LogStore::Drop(const AttemptKey& attempt) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto here = entry++;
    if (here->first.attempt == attempt) {
      here->second.kept = INT64_MAX;
      RemoveIfFinished(here);
    }
  }
}

void LogStore::Restart() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto& [key, entry] : entries_) {
    entry.under_way = false;
  }
}

bool LogStore::Drained() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [key, entry] : entries_) {
    if (entry.log->closed()) {
      return false;  // Closed ones are removed as soon as all of them is kept.
    }
  }
  return true;
}

}  // namespace cherry::worker
