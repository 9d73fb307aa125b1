// The sections of a report, each a piece of HTML; empty when there is nothing to tell.
//
// Pure functions, thread-safe.
#ifndef CHERRY_CLIENT_REPORT_SECTIONS_H_
#define CHERRY_CLIENT_REPORT_SECTIONS_H_

#include <string>

#include "client/report/report.h"

namespace cherry::client {

// What the criteria of all evaluations have come to.
std::string VerdictSection(const ReportData& data);
// Of each evaluation the recoveries as bars, the summaries, and its models in tables.
std::string EvaluationSection(const ReportData& data);
// Series over steps: jobs of one kind and parent share a chart, those that differ in the seed alone a colour.
std::string CurveSection(const ReportData& data);
// Which job started from which.
std::string LineageSection(const ReportData& data);
// State and essentials of every job, and its whole spec.
std::string JobSection(const ReportData& data);

// "sgt"
std::string KindName(const v1::Job& job);
// The resolved spec where there is one.
const v1::JobSpec& SpecOf(const v1::Job& job);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_REPORT_SECTIONS_H_
