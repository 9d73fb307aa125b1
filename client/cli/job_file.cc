#include "client/cli/job_file.h"

#include <yaml-cpp/yaml.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "client/cli/job_file_names.h"
#include "client/cli/job_file_reader.h"
#include "common/status.h"

namespace cherry::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool IsUtf8(absl::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead == 0) {
      return false;
    }
    const int length = lead < 0x80                   ? 1
                       : lead >= 0xc2 && lead < 0xe0 ? 2
                       : lead >= 0xe0 && lead < 0xf0 ? 3
                       : lead >= 0xf0 && lead < 0xf5 ? 4
                                                     : 0;
    if (length == 0 || i + length > text.size()) {
      return false;
    }
    uint32_t code = length == 1 ? lead : lead & (0x7f >> length);
    for (int k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) {
        return false;
      }
      code = code << 6 | (next & 0x3f);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    if (overlong || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
      return false;
    }
    i += length;
  }
  return true;
}

absl::Status ReadDocuments(absl::string_view text, absl::string_view file, std::vector<v1::JobSpec>* jobs) {
  const JobFileReader reader(file);
  for (const YAML::Node& document : YAML::LoadAll(std::string(text))) {
    if (document.IsNull()) {
      continue;
    }
    if (jobs->size() == kMaxJobsInFile) {
      return InvalidField("TOO_MANY_JOBS", "", absl::StrCat(file, ": more than ", kMaxJobsInFile, " jobs"),
                          "split the file, or use matrix");
    }
    RETURN_IF_ERROR(reader.ReadMessage(document, "", &jobs->emplace_back()));
  }
  return absl::OkStatus();
}

// Where "train.optimizer.eps" points: the message that has the field and the field; `rest` holds what follows
// the name of a map or of a matrix.
struct Target {
  Message* message = nullptr;
  const FieldDescriptor* field = nullptr;
  std::string rest;
};

absl::StatusOr<Target> FindTarget(const std::string& path, v1::JobSpec* spec) {
  Target target{.message = spec, .field = nullptr, .rest = ""};
  std::string parent;
  absl::string_view left = path;
  while (true) {
    const size_t dot = left.find('.');
    const std::string part(left.substr(0, dot));
    const Descriptor& type = *target.message->GetDescriptor();
    target.field = type.FindFieldByName(part);
    if (target.field == nullptr || IsOutputOnly(*target.field)) {
      return InvalidField("FIELD_UNKNOWN", ShowValue(path),
                          absl::StrCat("--set ", ShowValue(path), ": unknown key"),
                          SuggestKey(type, parent, part));
    }
    if (dot == absl::string_view::npos) {
      return target;
    }
    left.remove_prefix(dot + 1);
    const bool message = target.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (target.field->is_map() || (message && target.field->message_type() == v1::Matrix::descriptor())) {
      target.rest = std::string(left);
      return target;
    }
    if (!message || target.field->is_repeated()) {
      return InvalidField(
          "FIELD_UNKNOWN", ShowValue(path),
          absl::StrCat("--set ", ShowValue(path), ": ", JoinPath(parent, part), " has no keys below it"),
          absl::StrCat("write --set ", JoinPath(parent, part), "=VALUE"));
    }
    target.message = target.message->GetReflection()->MutableMessage(target.message, target.field);
    parent = JoinPath(parent, part);
  }
}

// Below a map or a matrix: `labels.team=ko`, `matrix.train.seed=[1, 2]`. What is there is kept.
absl::Status SetBelow(const Target& target, const std::string& path, const YAML::Node& value) {
  const JobFileReader reader("");
  Message* const message = target.message;
  const Reflection& reflection = *message->GetReflection();
  if (!target.field->is_map()) {
    auto* const matrix = static_cast<v1::Matrix*>(reflection.MutableMessage(message, target.field));
    const FieldDescriptor* const field = v1::Matrix::descriptor()->FindFieldByName(target.rest);
    if (field != nullptr && !field->is_map()) {
      matrix->GetReflection()->ClearField(matrix, field);
    } else {
      matrix->mutable_axes()->erase(target.rest);
    }
    if (value.IsNull()) {
      return absl::OkStatus();
    }
    YAML::Node wrapped;
    wrapped[target.rest] = value;
    return reader.ReadField(wrapped, path.substr(0, path.size() - target.rest.size() - 1), *target.field,
                            message);
  }
  // Take the old entry out, then append the new one.
  const FieldDescriptor* const key = target.field->message_type()->map_key();
  for (int i = reflection.FieldSize(*message, target.field) - 1; i >= 0; --i) {
    const Message& pair = reflection.GetRepeatedMessage(*message, target.field, i);
    if (pair.GetReflection()->GetString(pair, key) == target.rest) {
      reflection.SwapElements(message, target.field, i, reflection.FieldSize(*message, target.field) - 1);
      reflection.RemoveLast(message, target.field);
    }
  }
  if (value.IsNull()) {
    return absl::OkStatus();
  }
  YAML::Node wrapped;
  wrapped[target.rest] = value;
  return reader.ReadField(wrapped, path, *target.field, message);
}

absl::Status SetTarget(const std::string& path, const std::string& text, v1::JobSpec* spec) {
  const YAML::Node value = YAML::Load(text);
  ASSIGN_OR_RETURN(const Target target, FindTarget(path, spec));
  if (!target.rest.empty()) {
    return SetBelow(target, path, value);
  }
  target.message->GetReflection()->ClearField(target.message, target.field);
  if (value.IsNull()) {
    return absl::OkStatus();
  }
  return Annotate(JobFileReader("").ReadField(value, path, *target.field, target.message), "--set");
}

}  // namespace

absl::StatusOr<std::vector<v1::JobSpec>> ParseJobFile(absl::string_view text, absl::string_view file) {
  if (text.size() > kMaxJobFileBytes) {
    return InvalidField("FILE_TOO_LARGE", "", absl::StrCat(file, ": larger than 1 MiB"), "split the file");
  }
  if (!IsUtf8(text)) {
    return InvalidField("NOT_UTF8", "", absl::StrCat(file, ": is not UTF-8 text"), "save it as UTF-8");
  }
  std::vector<v1::JobSpec> jobs;
  try {
    RETURN_IF_ERROR(ReadDocuments(text, file, &jobs));
  } catch (const YAML::Exception& error) {
    const std::string line = error.mark.is_null() ? "" : absl::StrCat(":", error.mark.line + 1);
    return InvalidField("NOT_YAML", "", absl::StrCat(file, line, ": is not YAML: ", ShowValue(error.msg)),
                        "see `cherry submit --help` for an example");
  }
  if (jobs.empty()) {
    return InvalidField("NO_JOB", "", absl::StrCat(file, ": has no job in it"),
                        "give at least kind, name and data");
  }
  return jobs;
}

absl::Status SetField(absl::string_view assignment, v1::JobSpec* spec) {
  const size_t equals = assignment.find('=');
  if (equals == absl::string_view::npos || equals == 0) {
    return InvalidField("SET_INVALID", "",
                        absl::StrCat("--set ", ShowValue(assignment), ": is not path=value"),
                        "write e.g. --set train.steps=300");
  }
  if (assignment.size() > kMaxJobFileBytes || !IsUtf8(assignment)) {
    return InvalidField("NOT_UTF8", "", "--set: the value is too large or not UTF-8", "check the value");
  }
  v1::JobSpec changed = *spec;
  try {
    RETURN_IF_ERROR(SetTarget(std::string(assignment.substr(0, equals)),
                              std::string(assignment.substr(equals + 1)), &changed));
  } catch (const YAML::Exception& error) {
    return InvalidField(
        "NOT_YAML", "",
        absl::StrCat("--set ", ShowValue(assignment), ": is not YAML: ", ShowValue(error.msg)),
        "quote the value");
  }
  *spec = std::move(changed);
  return absl::OkStatus();
}

}  // namespace cherry::client
