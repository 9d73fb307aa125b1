#include "common/matrix_value.h"

#include <charconv>
#include <cmath>

namespace cherry {

using google::protobuf::Value;

std::string ValueText(const Value& value) {
  switch (value.kind_case()) {
    case Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case Value::kNumberValue: {
      // The shortest that reads back as the same number; 0.0005 rather than 5e-04.
      char buffer[40];
      const double size = std::abs(value.number_value());
      const bool plain = size == 0 || (size >= 1e-6 && size < 1e15);
      const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value.number_value(),
                                     plain ? std::chars_format::fixed : std::chars_format::general);
      return std::string(buffer, end.ptr);
    }
    default:
      return value.string_value().substr(0, 200);
  }
}

}  // namespace cherry
