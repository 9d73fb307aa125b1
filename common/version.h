#ifndef CHERRY_COMMON_VERSION_H_
#define CHERRY_COMMON_VERSION_H_

namespace cherry {

inline constexpr char kVersion[] = "0.1.0";
inline constexpr int kApiMajor = 1;

}  // namespace cherry

#endif  // CHERRY_COMMON_VERSION_H_
