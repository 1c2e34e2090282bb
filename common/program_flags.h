// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_COMMON_PROGRAM_FLAGS_H_
#define LOCKHOST_COMMON_PROGRAM_FLAGS_H_

#include <string_view>
#include <vector>

namespace lockhost {

// absl::ParseCommandLine() for our programs: --hint-page=x is --hint_page=x, since
// users type dashes and ABSL_FLAG needs a C identifier. Arguments after "--", and those
// that are no flags, stay as they are. Returns the arguments that are no flags, the
// program's name first. `usage` is what --help says first.
std::vector<char*> ParseProgramFlags(int argc, char** argv, std::string_view usage);

}  // namespace lockhost

#endif  // LOCKHOST_COMMON_PROGRAM_FLAGS_H_
