// The coordinator's metrics, by the names of common/metrics_names.h.
//
// Thread-safe.
#ifndef CHERRY_COORDINATOR_API_METRICS_H_
#define CHERRY_COORDINATOR_API_METRICS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "coordinator/core/decision.h"
#include "coordinator/core/queries.h"

namespace cherry::coordinator {

class Metrics {
 public:
  // `census` is asked at each scrape, on its thread.
  static std::unique_ptr<Metrics> Create(std::function<Census()> census);
  virtual ~Metrics() = default;

  virtual void Record(const Measure& measure) = 0;
  virtual void ObserveSync(double seconds) = 0;
  virtual void ObserveSchedule(double seconds) = 0;
  virtual void ObserveRpc(absl::string_view method, absl::string_view code, double seconds) = 0;

  // The text that a scrape gets.
  virtual std::string Text() = 0;
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_METRICS_H_
