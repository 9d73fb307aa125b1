#include "client/report/references.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/report/sections.h"
#include "common/ids.h"

namespace cherry::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Fields that a later version adds are found too.
void Collect(const Message& message, const std::string& path, std::vector<Reference>* found) {
  if (message.GetDescriptor() == v1::SourceRef::descriptor()) {
    found->push_back({path, static_cast<const v1::SourceRef&>(message)});
    return;
  }
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* const field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_map() ||
        field->name() == "matrix") {
      continue;
    }
    const std::string inner = absl::StrCat(path, path.empty() ? "" : ".", field->name());
    if (!field->is_repeated()) {
      Collect(reflection.GetMessage(message, field), inner, found);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      Collect(reflection.GetRepeatedMessage(message, field, i), inner, found);
    }
  }
}

}  // namespace

std::vector<Reference> ReferencesOf(const v1::JobSpec& spec) {
  std::vector<Reference> found;
  Collect(spec, "", &found);
  found.erase(std::remove_if(found.begin(), found.end(),
                             [](const Reference& reference) {
                               return reference.source.job().empty() && reference.source.model().empty();
                             }),
              found.end());
  return found;
}

std::string ResourceOf(const v1::SourceRef& source, const v1::Job& job) {
  if (source.job().empty()) {
    return "";
  }
  const std::vector<std::string> parts = absl::StrSplit(source.job(), absl::MaxSplits('/', 1));
  const auto own = ParseJobName(job.name());
  const std::string ns = parts.size() == 2 ? parts[0] : own.ok() ? own->ns : "default";
  return JobName{ns, parts.back()}.Resource();
}

JobIndex::JobIndex(const ReportData& data) {
  for (const ReportedJob& job : data.jobs) {
    if (!job.job.uid().empty()) {
      by_uid_.emplace(job.job.uid(), &job);
    }
    by_name_.emplace(job.job.name(), &job);
  }
}

const ReportedJob* JobIndex::Find(const v1::SourceRef& source, const v1::Job& of) const {
  if (!source.job_uid().empty()) {
    const auto found = by_uid_.find(source.job_uid());
    return found == by_uid_.end() ? nullptr : found->second;
  }
  const auto found = by_name_.find(ResourceOf(source, of));
  return found == by_name_.end() ? nullptr : found->second;
}

const ReportedJob* JobIndex::ParentOf(const v1::Job& job) const {
  const v1::JobSpec& spec = SpecOf(job);
  const ReportedJob* parent = nullptr;
  if (spec.has_from()) {
    parent = Find(spec.from(), job);
  } else if (spec.has_continue_()) {
    parent = Find(spec.continue_(), job);
  } else if (spec.experts_size() > 0) {
    parent = Find(spec.experts(0), job);
  }
  return parent != nullptr && &parent->job == &job ? nullptr : parent;
}

}  // namespace cherry::client
