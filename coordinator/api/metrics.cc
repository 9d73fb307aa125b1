#include "coordinator/api/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <map>

#include "common/metrics_names.h"
#include "common/version.h"

namespace cherry::coordinator {
namespace {

using Labels = std::map<std::string, std::string>;

const prometheus::Histogram::BucketBoundaries kFast = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0};
const prometheus::Histogram::BucketBoundaries kSlow = {0.01, 0.1, 0.5, 1,    5,     15,
                                                       60,   300, 900, 3600, 14400, 86400};

prometheus::MetricFamily GaugeFamily(const std::string& name, const std::string& help) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  return family;
}

void AddGauge(prometheus::MetricFamily* family, const Labels& labels, double value) {
  prometheus::ClientMetric metric;
  for (const auto& [name, label] : labels) {
    metric.label.push_back({name, label});
  }
  metric.gauge.value = value;
  family->metric.push_back(std::move(metric));
}

// Gauges made of the core's state at each scrape.
class CensusCollector final : public prometheus::Collectable {
 public:
  explicit CensusCollector(std::function<Census()> census) : census_(std::move(census)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const Census census = census_();
    std::vector<prometheus::MetricFamily> families = {
        GaugeFamily(metrics::kJobs, "Jobs by kind, state and namespace."),
        GaugeFamily(metrics::kWorkers, "Workers by state."),
        GaugeFamily(metrics::kSlots, "Slots by state: used, free, unavailable."),
        GaugeFamily(metrics::kBuildInfo, "Always 1; the version is a label.")};
    for (const auto& [key, count] : census.jobs) {
      AddGauge(&families[0],
               {{"kind", std::get<0>(key)}, {"state", std::get<1>(key)}, {"job_namespace", std::get<2>(key)}},
               count);
    }
    for (const auto& [state, count] : census.workers) {
      AddGauge(&families[1], {{"state", state}}, count);
    }
    for (const auto& [state, count] : census.slots) {
      AddGauge(&families[2], {{"state", state}}, count);
    }
    AddGauge(&families[3], {{"version", kVersion}}, 1);
    return families;
  }

 private:
  const std::function<Census()> census_;
};

class PrometheusMetrics final : public Metrics {
 public:
  explicit PrometheusMetrics(std::function<Census()> census)
      : census_(std::make_shared<CensusCollector>(std::move(census))) {}

  void Record(const Measure& measure) override {
    switch (measure.kind) {
      case Measure::kTransition:
        transitions_.Add({{"kind", measure.job_kind}, {"to", measure.to}, {"reason", measure.label}})
            .Increment();
        break;
      case Measure::kQueueWait:
        queue_wait_.Observe(measure.value);
        break;
      case Measure::kCheckpointCommitted:
        checkpoints_.Increment();
        break;
      case Measure::kPreemption:
        preemptions_.Increment();
        break;
      case Measure::kSlotSeconds:
        slot_seconds_.Add({{"cause", measure.label}}).Increment(measure.value);
        break;
    }
  }

  void ObserveSync(double seconds) override { sync_.Observe(seconds); }
  void ObserveSchedule(double seconds) override { schedule_.Observe(seconds); }
  void ObserveRpc(absl::string_view method, absl::string_view code, double seconds) override {
    rpc_.Add({{"method", std::string(method)}, {"code", std::string(code)}}, kFast).Observe(seconds);
  }

  std::string Text() override {
    std::vector<prometheus::MetricFamily> families = registry_->Collect();
    for (prometheus::MetricFamily& family : census_->Collect()) {
      families.push_back(std::move(family));
    }
    return prometheus::TextSerializer().Serialize(families);
  }

 private:
  prometheus::Counter& Counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_).Add({});
  }
  prometheus::Histogram& Histogram(const char* name, const char* help,
                                   const prometheus::Histogram::BucketBoundaries& buckets) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_).Add({}, buckets);
  }

  std::shared_ptr<CensusCollector> census_;
  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  prometheus::Family<prometheus::Counter>& transitions_ = prometheus::BuildCounter()
                                                              .Name(metrics::kJobTransitions)
                                                              .Help("Changes of jobs' states.")
                                                              .Register(*registry_);
  prometheus::Family<prometheus::Counter>& slot_seconds_ = prometheus::BuildCounter()
                                                               .Name(metrics::kSlotSeconds)
                                                               .Help("Slot-seconds by what they bought.")
                                                               .Register(*registry_);
  prometheus::Family<prometheus::Histogram>& rpc_ = prometheus::BuildHistogram()
                                                        .Name(metrics::kRpc)
                                                        .Help("Seconds until a call was answered.")
                                                        .Register(*registry_);
  prometheus::Histogram& queue_wait_ =
      Histogram(metrics::kQueueWait, "Seconds a job waited for its slots.", kSlow);
  prometheus::Histogram& schedule_ = Histogram(metrics::kSchedule, "Seconds a decision took.", kFast);
  prometheus::Histogram& sync_ = Histogram(metrics::kStoreSync, "Seconds a synced write took.", kFast);
  prometheus::Counter& checkpoints_ = Counter(metrics::kCheckpointsCommitted, "Checkpoints committed.");
  prometheus::Counter& preemptions_ =
      Counter(metrics::kPreemptions, "Attempts stopped for a job of higher priority.");
};

}  // namespace

std::unique_ptr<Metrics> Metrics::Create(std::function<Census()> census) {
  return std::make_unique<PrometheusMetrics>(std::move(census));
}

}  // namespace cherry::coordinator
