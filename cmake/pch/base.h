// Precompiled for everything but the trainer: the messages and Abseil cost 3 to 8 s a file otherwise. Files
// still include what they use.
#ifndef CHERRY_CMAKE_PCH_BASE_H_
#define CHERRY_CMAKE_PCH_BASE_H_

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "cherry/v1/coordinator.pb.h"
#include "cherry/v1/record.pb.h"
#include "cherry/v1/trainer.pb.h"
#include "cherry/v1/worker.pb.h"

#endif  // CHERRY_CMAKE_PCH_BASE_H_
