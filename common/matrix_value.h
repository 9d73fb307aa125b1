// Values of a matrix's axes, by which its jobs are named, paired and grouped. Pure, thread-safe.
#ifndef CHERRY_COMMON_MATRIX_VALUE_H_
#define CHERRY_COMMON_MATRIX_VALUE_H_

#include <string>

#include "google/protobuf/struct.pb.h"

namespace cherry {

// The axis that makes repetitions of an experiment, not other experiments.
inline constexpr char kSeedPath[] = "train.seed";

// A value as an error or a name shows it: "rule", "0.15", "true".
std::string ValueText(const google::protobuf::Value& value);

}  // namespace cherry

#endif  // CHERRY_COMMON_MATRIX_VALUE_H_
