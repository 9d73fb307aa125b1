#include "worker/parallel/rendezvous.h"

#include "absl/strings/str_cat.h"

namespace cherry::trainer {

absl::Status LocalRendezvous::Put(const std::string& key, const std::string& value) {
  absl::MutexLock lock(&mutex_);
  values_[key] = value;
  return absl::OkStatus();
}

absl::StatusOr<std::string> LocalRendezvous::Get(const std::string& key, absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  const auto is_set = [&] { return values_.count(key) > 0; };
  if (!mutex_.AwaitWithDeadline(absl::Condition(&is_set), deadline)) {
    return absl::DeadlineExceededError(absl::StrCat("no rank has put ", key));
  }
  return values_[key];
}

}  // namespace cherry::trainer
