// A directory that is made aside and appears all at once, under its name.
//
// Not thread-safe; several processes may stage the same name.
#ifndef CHERRY_CLIENT_DATA_STAGING_H_
#define CHERRY_CLIENT_DATA_STAGING_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cherry::client {

class Staging {
 public:
  // Makes `root`/.NAME.tmp-PID and locks it; removes what dead processes left of the same name.
  static absl::StatusOr<std::unique_ptr<Staging>> Create(const std::string& root, const std::string& name);
  // Removes what has not been published.
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const std::string& path() const { return path_; }
  // Syncs the directory and renames it to `root`/NAME. One that exists is exchanged and removed with
  // `replace`, else the result is ALREADY_EXISTS. Files must have been synced by whoever wrote them.
  absl::Status Publish(bool replace);

 private:
  Staging(std::string root, std::string name, std::string path, int lock);
  const std::string root_;
  const std::string name_;
  const std::string path_;
  const int lock_;
  bool published_ = false;
};

// `ALREADY_EXISTS`, naming the dataset and --force.
absl::Status DatasetExists(const std::string& root, const std::string& name);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_STAGING_H_
