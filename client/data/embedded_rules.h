// The files of client/data/rules, as the build put them into the program. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_EMBEDDED_RULES_H_
#define CHERRY_CLIENT_DATA_EMBEDDED_RULES_H_

namespace cherry::client {

extern const char kCommonRules[];
extern const char kKoreanRules[];
extern const char kEnglishRules[];

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_EMBEDDED_RULES_H_
