#include "coordinator/core/spec_path.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "common/matrix_value.h"
#include "common/nearest.h"
#include "common/status.h"
#include "coordinator/core/state.h"
#include "google/protobuf/duration.pb.h"

namespace cherry::coordinator {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Value;

std::string Field(const std::string& path) { return absl::StrCat("matrix.", path.substr(0, 100)); }

absl::Status CannotVary(const std::string& path, absl::string_view why) {
  return InvalidField("AXIS_INVALID", Field(path), absl::StrCat(Field(path), ": ", why),
                      "name a single field such as train.seed");
}

absl::Status Unfit(const std::string& path, const Value& value, absl::string_view what,
                   absl::string_view remedy) {
  return InvalidField("VALUE_INVALID", Field(path),
                      absl::StrCat(Field(path), ": '", ValueText(value), "' ", what), remedy);
}

absl::Status NoSuchField(const std::string& path, const Descriptor& type, const std::string& part) {
  std::vector<std::string> names;
  names.reserve(type.field_count());
  for (int i = 0; i < type.field_count(); ++i) {
    names.emplace_back(type.field(i)->name());
  }
  const std::string near = part.size() > 64 ? "" : Nearest(part, names);
  return InvalidField(
      "FIELD_UNKNOWN", Field(path), absl::StrCat(Field(path), ": a job has no such field"),
      near.empty() ? "name a field of the job file, e.g. train.seed" : absl::StrCat("use ", near));
}

absl::StatusOr<int64_t> Whole(const std::string& path, const Value& value, bool narrow) {
  constexpr double kExact = 9007199254740992.0;  // Beyond it a double no longer tells whole numbers apart.
  const double number = value.number_value();
  if (value.kind_case() != Value::kNumberValue || number != std::floor(number) || std::abs(number) > kExact) {
    return Unfit(path, value, "is not a whole number", "give numbers such as 1, 2, 3");
  }
  if (narrow && std::abs(number) > std::numeric_limits<int32_t>::max()) {
    return Unfit(path, value, "is too large", "give at most 2147483647");
  }
  return static_cast<int64_t>(number);
}

absl::Status SetEnum(const std::string& path, const Value& value, const FieldDescriptor& field,
                     Message* message) {
  std::vector<std::string> names;
  for (int i = 0; i < field.enum_type()->value_count(); ++i) {
    const auto* const known = field.enum_type()->value(i);
    const std::string name = absl::AsciiStrToLower(known->name());
    if (absl::string_view(name).find("unspecified") != absl::string_view::npos) {
      continue;
    }
    if (value.kind_case() == Value::kStringValue && value.string_value() == name) {
      message->GetReflection()->SetEnum(message, &field, known);
      return absl::OkStatus();
    }
    names.push_back(name);
  }
  return Unfit(path, value, absl::StrCat("is not one of ", absl::StrJoin(names, ", ")), "use one of them");
}

// The two messages that a file writes as one value.
absl::Status SetShort(const std::string& path, const Value& value, const FieldDescriptor& field,
                      Message* message) {
  Message* const child = message->GetReflection()->MutableMessage(message, &field);
  if (field.message_type() == v1::RankRange::descriptor()) {
    ASSIGN_OR_RETURN(const int64_t ranks, Whole(path, value, true));
    auto* const range = static_cast<v1::RankRange*>(child);
    range->set_min(static_cast<int32_t>(ranks));
    range->set_max(static_cast<int32_t>(ranks));
    return absl::OkStatus();
  }
  absl::Duration duration;
  if (!absl::ParseDuration(value.string_value(), &duration) || duration < absl::ZeroDuration() ||
      duration > absl::Hours(24 * 3650)) {
    return Unfit(path, value, "is not a duration", "write a number with its unit: 90s, 15m, 12h");
  }
  *static_cast<google::protobuf::Duration*>(child) = ToProto(duration);
  return absl::OkStatus();
}

absl::Status SetField(const std::string& path, const Value& value, const FieldDescriptor& field,
                      Message* message) {
  const auto& reflection = *message->GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      // A number is text as well, e.g. a step in from.checkpoint.
      reflection.SetString(message, &field, ValueText(value));
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_BOOL:
      if (value.kind_case() != Value::kBoolValue) {
        return Unfit(path, value, "is neither true nor false", "write true or false");
      }
      reflection.SetBool(message, &field, value.bool_value());
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_INT32: {
      ASSIGN_OR_RETURN(const int64_t number, Whole(path, value, true));
      reflection.SetInt32(message, &field, static_cast<int32_t>(number));
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      ASSIGN_OR_RETURN(const int64_t number, Whole(path, value, false));
      reflection.SetInt64(message, &field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
      if (value.kind_case() != Value::kNumberValue || !std::isfinite(value.number_value())) {
        return Unfit(path, value, "is not a number", "write a number such as 0.001");
      }
      reflection.SetDouble(message, &field, value.number_value());
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_ENUM:
      return SetEnum(path, value, field, message);
    default:
      return SetShort(path, value, field, message);
  }
}

bool IsShort(const FieldDescriptor& field) {
  return field.message_type() == v1::RankRange::descriptor() ||
         field.message_type() == google::protobuf::Duration::descriptor();
}

}  // namespace

absl::Status SetPath(const std::string& path, const Value& value, v1::JobSpec* spec) {
  if (value.kind_case() != Value::kStringValue && value.kind_case() != Value::kNumberValue &&
      value.kind_case() != Value::kBoolValue) {
    return InvalidField("VALUE_INVALID", Field(path),
                        absl::StrCat(Field(path), ": a value is not a single one"),
                        "give numbers, words, true or false");
  }
  if (path == "name" || path == "generate_name" || path == "namespace") {
    return CannotVary(path, "jobs of a matrix are named by their values");
  }
  Message* message = spec;
  const std::vector<std::string> parts = absl::StrSplit(path, '.');
  for (size_t i = 0; i < parts.size(); ++i) {
    const FieldDescriptor* const field = message->GetDescriptor()->FindFieldByName(parts[i]);
    if (field == nullptr || parts[i] == "job_uid") {
      return NoSuchField(path, *message->GetDescriptor(), parts[i]);
    }
    const bool nested = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    const bool last = i + 1 == parts.size();
    if (field->is_repeated() || field->message_type() == v1::Matrix::descriptor() ||
        (nested && last && !IsShort(*field)) || (!nested && !last)) {
      return CannotVary(path, "is not a single field");
    }
    if (last) {
      return SetField(path, value, *field, message);
    }
    message = message->GetReflection()->MutableMessage(message, field);
  }
  return absl::InternalError("a path without parts");
}

}  // namespace cherry::coordinator
