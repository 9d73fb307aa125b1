// Which jobs a job reads.
//
// Pure functions, thread-safe.
#ifndef CHERRY_CLIENT_REPORT_REFERENCES_H_
#define CHERRY_CLIENT_REPORT_REFERENCES_H_

#include <map>
#include <string>
#include <vector>

#include "client/report/report.h"

namespace cherry::client {

struct Reference {
  std::string
      role;  // Path of the field without an index: "from", "sgt.reference", "experts", "evaluate.models".
  v1::SourceRef source;
};

// Every source that the spec names, in the order of its fields.
std::vector<Reference> ReferencesOf(const v1::JobSpec& spec);

// "namespaces/{ns}/jobs/{job}" of the job that `source` means in a spec of `job`; empty for an imported
// model.
std::string ResourceOf(const v1::SourceRef& source, const v1::Job& job);

// Finds jobs of a report by what names them. Keeps pointers to `data`, which must outlive it.
class JobIndex {
 public:
  explicit JobIndex(const ReportData& data);
  // Null where the report does not have it, or has another job of that name.
  const ReportedJob* Find(const v1::SourceRef& source, const v1::Job& of) const;
  // What the weights of `job` come from: its `from` or `continue`, or the first of its experts.
  const ReportedJob* ParentOf(const v1::Job& job) const;

 private:
  std::map<std::string, const ReportedJob*> by_uid_, by_name_;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_REPORT_REFERENCES_H_
