#include <charconv>
#include <cstdint>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/job_file.h"
#include "client/cli/job_file_names.h"
#include "client/cli/yaml_text.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/message.h"
#include "google/protobuf/struct.pb.h"

namespace cherry::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The shortest that reads back as the same number.
std::string Number(double value) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, end.ptr);
}

// 5400 s as 1h30m.
std::string DurationText(const google::protobuf::Duration& duration) {
  return absl::FormatDuration(absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos()));
}

std::string ValueText(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kNumberValue:
      return Number(value.number_value());
    case google::protobuf::Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    default:
      return YamlText(value.string_value());
  }
}

std::string StructText(const google::protobuf::Struct& value) {
  const std::map<std::string, google::protobuf::Value> sorted(value.fields().begin(), value.fields().end());
  return absl::StrCat("{",
                      absl::StrJoin(sorted, ", ",
                                    [](std::string* out, const auto& entry) {
                                      absl::StrAppend(out, YamlText(entry.first), ": ",
                                                      ValueText(entry.second));
                                    }),
                      "}");
}

std::string Flow(const Message& message);

std::string MatrixText(const v1::Matrix& matrix) {
  std::vector<std::string> parts;
  const std::map<std::string, google::protobuf::ListValue> axes(matrix.axes().begin(), matrix.axes().end());
  for (const auto& [name, values] : axes) {
    const auto append = [](std::string* out, const google::protobuf::Value& value) {
      absl::StrAppend(out, ValueText(value));
    };
    parts.push_back(absl::StrCat(YamlText(name), ": [", absl::StrJoin(values.values(), ", ", append), "]"));
  }
  const auto append_struct = [](std::string* out, const google::protobuf::Struct& value) {
    absl::StrAppend(out, StructText(value));
  };
  if (matrix.include_size() > 0) {
    parts.push_back(absl::StrCat("include: [", absl::StrJoin(matrix.include(), ", ", append_struct), "]"));
  }
  if (matrix.exclude_size() > 0) {
    parts.push_back(absl::StrCat("exclude: [", absl::StrJoin(matrix.exclude(), ", ", append_struct), "]"));
  }
  if (matrix.max_parallel() != 0) {
    parts.push_back(absl::StrCat("max_parallel: ", matrix.max_parallel()));
  }
  return absl::StrCat("{", absl::StrJoin(parts, ", "), "}");
}

std::string MessageText(const Message& message) {
  if (message.GetDescriptor() == google::protobuf::Duration::descriptor()) {
    return DurationText(static_cast<const google::protobuf::Duration&>(message));
  }
  if (message.GetDescriptor() == v1::Matrix::descriptor()) {
    return MatrixText(static_cast<const v1::Matrix&>(message));
  }
  if (message.GetDescriptor() == v1::RankRange::descriptor()) {
    const auto& range = static_cast<const v1::RankRange&>(message);
    if (range.min() == range.max()) {
      return absl::StrCat(range.min());
    }
  }
  return Flow(message);
}

// One value: of a singular field, or element `index` of a repeated one.
std::string Element(const Message& message, const FieldDescriptor& field, int index) {
  const auto& reflection = *message.GetReflection();
  const bool repeated = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return YamlText(repeated ? reflection.GetRepeatedString(message, &field, index)
                               : reflection.GetString(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(repeated ? reflection.GetRepeatedInt32(message, &field, index)
                                   : reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Number(repeated ? reflection.GetRepeatedDouble(message, &field, index)
                             : reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* const value =
          repeated ? reflection.GetRepeatedEnum(message, &field, index) : reflection.GetEnum(message, &field);
      return absl::AsciiStrToLower(value->name());
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageText(repeated ? reflection.GetRepeatedMessage(message, &field, index)
                                  : reflection.GetMessage(message, &field));
    default:
      return "";
  }
}

std::string MapText(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  std::map<std::string, std::string> sorted;
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const Message& pair = reflection.GetRepeatedMessage(message, &field, i);
    const auto* const type = pair.GetDescriptor();
    sorted[pair.GetReflection()->GetString(pair, type->map_key())] =
        pair.GetReflection()->GetString(pair, type->map_value());
  }
  return absl::StrCat("{",
                      absl::StrJoin(sorted, ", ",
                                    [](std::string* out, const auto& entry) {
                                      absl::StrAppend(out, YamlText(entry.first), ": ",
                                                      YamlText(entry.second));
                                    }),
                      "}");
}

// "key: value" for each field that is set, in the order of the proto.
std::vector<std::string> Entries(const Message& message) {
  std::vector<std::string> entries;
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    const int size = field.is_repeated() ? reflection.FieldSize(message, &field) : -1;
    if (IsOutputOnly(field) || (size < 0 ? !reflection.HasField(message, &field) : size == 0)) {
      continue;
    }
    std::string text;
    if (field.is_map()) {
      text = MapText(message, field);
    } else if (size < 0) {
      text = Element(message, field, -1);
    } else {
      std::vector<std::string> elements;
      elements.reserve(size);
      for (int k = 0; k < size; ++k) {
        elements.push_back(Element(message, field, k));
      }
      text = absl::StrCat("[", absl::StrJoin(elements, ", "), "]");
    }
    entries.push_back(absl::StrCat(field.name(), ": ", text));
  }
  return entries;
}

std::string Flow(const Message& message) {
  return absl::StrCat("{", absl::StrJoin(Entries(message), ", "), "}");
}

// Parts with few settings stay on one line; longer ones get a line for each.
bool IsBlock(const Message& message, const FieldDescriptor& field) {
  if (field.is_repeated() || field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
      field.message_type() == v1::Matrix::descriptor()) {
    return false;
  }
  const Message& child = message.GetReflection()->GetMessage(message, &field);
  return Flow(child).size() > 80;
}

}  // namespace

std::string JobSpecToYaml(const v1::JobSpec& spec) {
  std::string out;
  const std::vector<std::string> entries = Entries(spec);
  for (const std::string& entry : entries) {
    const FieldDescriptor* const field =
        spec.GetDescriptor()->FindFieldByName(entry.substr(0, entry.find(':')));
    if (!IsBlock(spec, *field)) {
      absl::StrAppend(&out, entry, "\n");
      continue;
    }
    absl::StrAppend(&out, field->name(), ":\n");
    for (const std::string& line : Entries(spec.GetReflection()->GetMessage(spec, field))) {
      absl::StrAppend(&out, "  ", line, "\n");
    }
  }
  return out;
}

}  // namespace cherry::client
