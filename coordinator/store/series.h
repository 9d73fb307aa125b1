// Series of metrics: full resolution up to a number of points, then the older half at half resolution, again
// and again, so that a series never grows beyond it.
#ifndef CHERRY_COORDINATOR_STORE_SERIES_H_
#define CHERRY_COORDINATOR_STORE_SERIES_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/core/decision.h"
#include "coordinator/store/rocks.h"

namespace cherry::coordinator {

// One thread appends; reads are thread-safe.
class Series {
 public:
  Series(Rocks* rocks, int64_t most_points) : rocks_(rocks), most_points_(most_points) {}

  absl::Status Append(const std::vector<RecordSamples>& samples);
  // See Store::ReadSamples.
  absl::StatusOr<std::vector<v1::MetricSample>> Read(const std::string& uid, const std::string& name,
                                                     int64_t after_step, const std::string& resume, int limit,
                                                     std::string* next);
  absl::StatusOr<std::vector<v1::MetricSample>> ReadNewest(const std::string& uid);

 private:
  absl::StatusOr<int64_t> CountPoints(const std::string& prefix);
  absl::Status Thin(const std::string& prefix);

  Rocks* const rocks_;
  const int64_t most_points_;
  std::unordered_map<std::string, int64_t> points_;  // By prefix; at least as many as there are.
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_STORE_SERIES_H_
