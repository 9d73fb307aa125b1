// Single values and the few shapes that a file writes shorter than the proto does.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "client/cli/job_file_names.h"
#include "client/cli/job_file_reader.h"
#include "common/nearest.h"
#include "common/status.h"

namespace cherry::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr char kQuotedTag[] = "!";
constexpr char kStringTag[] = "tag:yaml.org,2002:str";

bool IsQuoted(const YAML::Node& node) { return node.Tag() == kQuotedTag || node.Tag() == kStringTag; }

}  // namespace

absl::StatusOr<double> JobFileReader::ReadNumber(const YAML::Node& node, const std::string& path) const {
  double number = 0;
  if (IsQuoted(node)) {
    return Wrong(node, "TYPE_WRONG", path,
                 absl::StrCat("\"", ShowValue(node.Scalar()), "\" is text, not a number"),
                 "write it without quotes");
  }
  if (!absl::SimpleAtod(node.Scalar(), &number) || !std::isfinite(number)) {
    return Wrong(node, "TYPE_WRONG", path, absl::StrCat("'", ShowValue(node.Scalar()), "' is not a number"),
                 "write a number such as 0.001 or 1e-3");
  }
  return number;
}

absl::StatusOr<int64_t> JobFileReader::ReadInteger(const YAML::Node& node, const std::string& path,
                                                   const FieldDescriptor& field) const {
  int64_t value = 0;
  if (IsQuoted(node) || !absl::SimpleAtoi(node.Scalar(), &value)) {
    // 1e6 is a whole number too; beyond 2^53 a double would no longer tell.
    auto number = ReadNumber(node, path);
    constexpr double kExact = 9007199254740992.0;
    if (!number.ok() && IsQuoted(node)) {
      return number.status();
    }
    if (!number.ok() || *number != std::floor(*number) || std::abs(*number) > kExact) {
      return Wrong(node, "TYPE_WRONG", path,
                   absl::StrCat("'", ShowValue(node.Scalar()), "' is not a whole number"),
                   "write a whole number such as 300");
    }
    value = static_cast<int64_t>(*number);
  }
  const bool narrow = field.cpp_type() == FieldDescriptor::CPPTYPE_INT32;
  if (narrow &&
      (value < std::numeric_limits<int32_t>::min() || value > std::numeric_limits<int32_t>::max())) {
    return Wrong(node, "OUT_OF_RANGE", path, absl::StrCat(node.Scalar(), " is too large"),
                 "give at most 2147483647");
  }
  return value;
}

absl::Status JobFileReader::ReadDuration(const YAML::Node& node, const std::string& path,
                                         google::protobuf::Duration* duration) const {
  absl::Duration value;
  if (!node.IsScalar() || !absl::ParseDuration(node.Scalar(), &value) || value < absl::ZeroDuration() ||
      value > absl::Hours(24 * 3650)) {
    return Wrong(node, "TYPE_WRONG", path,
                 absl::StrCat("'", node.IsScalar() ? ShowValue(node.Scalar()) : "", "' is not a duration"),
                 "write a number with its unit: 90s, 15m, 12h, 1h30m");
  }
  duration->set_seconds(absl::ToInt64Seconds(value));
  duration->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(value - absl::Seconds(duration->seconds()))));
  return absl::OkStatus();
}

absl::Status JobFileReader::ReadRankRange(const YAML::Node& node, const std::string& path,
                                          v1::RankRange* range) const {
  if (!node.IsScalar()) {
    return Wrong(node, "TYPE_WRONG", path, "is neither a number nor a range", "write 2 or {min: 1, max: 4}");
  }
  ASSIGN_OR_RETURN(const int64_t ranks, ReadInteger(node, path, *v1::RankRange::descriptor()->field(0)));
  range->set_min(static_cast<int32_t>(ranks));
  range->set_max(static_cast<int32_t>(ranks));
  return absl::OkStatus();
}

absl::Status JobFileReader::ReadScalar(const YAML::Node& node, const std::string& path,
                                       const FieldDescriptor& field, Message* message) const {
  if (node.IsNull()) {
    return Wrong(node, "TYPE_WRONG", path, "has no value", "give one, or remove the key for the default");
  }
  if (!node.IsScalar()) {
    return Wrong(node, "TYPE_WRONG", path, "is a list or a mapping, not a single value", "give one value");
  }
  const Reflection& reflection = *message->GetReflection();
  const bool add = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      add ? reflection.AddString(message, &field, node.Scalar())
          : reflection.SetString(message, &field, node.Scalar());
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_BOOL:
      if (IsQuoted(node) || (node.Scalar() != "true" && node.Scalar() != "false")) {
        return Wrong(node, "TYPE_WRONG", path,
                     absl::StrCat("'", ShowValue(node.Scalar()), "' is neither true nor false"),
                     "write true or false");
      }
      reflection.SetBool(message, &field, node.Scalar() == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_INT32: {
      ASSIGN_OR_RETURN(const int64_t value, ReadInteger(node, path, field));
      add ? reflection.AddInt32(message, &field, static_cast<int32_t>(value))
          : reflection.SetInt32(message, &field, static_cast<int32_t>(value));
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      ASSIGN_OR_RETURN(const int64_t value, ReadInteger(node, path, field));
      reflection.SetInt64(message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      ASSIGN_OR_RETURN(const double value, ReadNumber(node, path));
      add ? reflection.AddDouble(message, &field, value) : reflection.SetDouble(message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const std::vector<std::string> values = EnumValues(*field.enum_type());
      const auto* const value = field.enum_type()->FindValueByName(absl::AsciiStrToUpper(node.Scalar()));
      if (value == nullptr || std::find(values.begin(), values.end(), node.Scalar()) == values.end()) {
        const std::string near = node.Scalar().size() > 64 ? "" : Nearest(node.Scalar(), values);
        return Wrong(
            node, "VALUE_UNKNOWN", path,
            absl::StrCat("'", ShowValue(node.Scalar()), "' is not one of ", absl::StrJoin(values, ", ")),
            near.empty() ? "use one of them" : absl::StrCat("use ", near));
      }
      add ? reflection.AddEnum(message, &field, value) : reflection.SetEnum(message, &field, value);
      return absl::OkStatus();
    }
    default:
      return absl::InternalError(absl::StrCat("no rule for fields like ", field.full_name()));
  }
}

// A value of an axis must fit the field it is for: reading it into a scratch spec says so now, with file and
// line.
absl::StatusOr<google::protobuf::Value> JobFileReader::ReadAxisValue(const YAML::Node& node,
                                                                     const std::string& name,
                                                                     const std::string& path) const {
  const Descriptor* type = v1::JobSpec::descriptor();
  v1::JobSpec scratch;
  Message* message = &scratch;
  const std::vector<std::string> parts = absl::StrSplit(name, '.');
  std::string parent = path.substr(0, path.find('.'));
  for (size_t i = 0; i < parts.size(); ++i) {
    const FieldDescriptor* const field = type->FindFieldByName(parts[i]);
    if (field == nullptr || IsOutputOnly(*field)) {
      return Wrong(node, "FIELD_UNKNOWN", path, "unknown key",
                   SuggestKey(*type, absl::StrJoin(parts.begin(), parts.begin() + i, "."), parts[i]));
    }
    if (i + 1 == parts.size()) {
      if (!node.IsScalar()) {
        return Wrong(node, "TYPE_WRONG", path, "a value of an axis is not a single value",
                     "write [FIRST, SECOND]");
      }
      RETURN_IF_ERROR(ReadField(node, path, *field, message));
      google::protobuf::Value value;
      double number = 0;
      const bool text = IsQuoted(node) || field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
      if (!text && (node.Scalar() == "true" || node.Scalar() == "false")) {
        value.set_bool_value(node.Scalar() == "true");
      } else if (!text && absl::SimpleAtod(node.Scalar(), &number)) {
        value.set_number_value(number);
      } else {
        value.set_string_value(node.Scalar());
      }
      return value;
    }
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_repeated() ||
        field->message_type() == v1::Matrix::descriptor()) {
      return Wrong(node, "FIELD_UNKNOWN", path, "cannot be varied", "name a single field such as train.seed");
    }
    message = message->GetReflection()->MutableMessage(message, field);
    type = field->message_type();
  }
  return absl::InternalError("an axis without a name");
}

absl::Status JobFileReader::ReadAxis(const YAML::Node& node, const std::string& name, const std::string& path,
                                     v1::Matrix* matrix) const {
  if (!node.IsSequence() || node.size() == 0) {
    return Wrong(node, "TYPE_WRONG", path, "is not a list of values", "write [FIRST, SECOND]");
  }
  google::protobuf::ListValue values;
  for (const auto& element : node) {
    ASSIGN_OR_RETURN(*values.add_values(), ReadAxisValue(element, name, path));
  }
  if (!matrix->mutable_axes()->insert({name, values}).second) {
    return Wrong(node, "FIELD_TWICE", path, "given twice", "remove one of them");
  }
  return absl::OkStatus();
}

absl::Status JobFileReader::ReadCombination(const YAML::Node& node, const std::string& path,
                                            google::protobuf::Struct* combination) const {
  if (!node.IsMap()) {
    return Wrong(node, "TYPE_WRONG", path, "is not a mapping", "write {train.seed: 1, train.steps: 100}");
  }
  for (const auto& entry : node) {
    const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
    ASSIGN_OR_RETURN((*combination->mutable_fields())[name],
                     ReadAxisValue(entry.second, name, JoinPath(path, name)));
  }
  return absl::OkStatus();
}

absl::Status JobFileReader::ReadMatrix(const YAML::Node& node, const std::string& path,
                                       v1::Matrix* matrix) const {
  if (!node.IsMap()) {
    return Wrong(node, "TYPE_WRONG", path, "is not a mapping", "write {train.seed: [1, 2, 3]}");
  }
  for (const auto& entry : node) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    const std::string key_path = JoinPath(path, key);
    if (key == "max_parallel") {
      RETURN_IF_ERROR(
          ReadScalar(entry.second, key_path, *v1::Matrix::descriptor()->FindFieldByName(key), matrix));
    } else if (key == "include" || key == "exclude") {
      if (!entry.second.IsSequence()) {
        return Wrong(entry.second, "TYPE_WRONG", key_path, "is not a list", "write [{train.seed: 1}]");
      }
      for (const auto& element : entry.second) {
        RETURN_IF_ERROR(ReadCombination(element, key_path,
                                        key == "include" ? matrix->add_include() : matrix->add_exclude()));
      }
    } else {
      RETURN_IF_ERROR(ReadAxis(entry.second, key, key_path, matrix));
    }
  }
  return absl::OkStatus();
}

}  // namespace cherry::client
