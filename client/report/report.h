// `cherry report`: one page that says what jobs have found, in one file that needs nothing beside it.
//
// Pure functions, thread-safe: the same data gives the same bytes.
#ifndef CHERRY_CLIENT_REPORT_REPORT_H_
#define CHERRY_CLIENT_REPORT_REPORT_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cherry/v1/resources.pb.h"

namespace cherry::client {

struct ReportedJob {
  v1::Job job;
  std::vector<v1::MetricSample> samples;    // Of ReportedSeries, in any order.
  std::vector<v1::Checkpoint> checkpoints;  // Those that are there.
  // Not asked for itself: another job starts from it, or measures it.
  bool named_by_others = false;
};

struct ReportData {
  std::string title;              // "pipeline cherry-mini"
  std::string ns;                 // Jobs of other namespaces are shown with theirs.
  std::string server;             // Version of the coordinator; may be empty.
  absl::Time time;                // When it was read.
  std::vector<ReportedJob> jobs;  // Parents before children.
};

// The recorded series that a report of a job of this kind draws.
std::vector<std::string> ReportedSeries(v1::JobSpec::Kind kind);

// HTML that is well-formed XML: verdicts, evaluations, curves, lineage, jobs. Every text is escaped; no
// script, no request. Times are UTC.
std::string RenderReport(const ReportData& data);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_REPORT_REPORT_H_
