// SPDX-License-Identifier: Apache-2.0
#include "common/program_flags.h"

#include <cstring>

#include "absl/flags/parse.h"
#include "absl/flags/usage.h"

namespace lockhost {

std::vector<char*> ParseProgramFlags(int argc, char** argv, std::string_view usage) {
  absl::SetProgramUsageMessage(absl::string_view(usage.data(), usage.size()));
  for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; ++i) {
    if (strncmp(argv[i], "--", 2) != 0) continue;
    for (char* at = argv[i] + 2; *at != '\0' && *at != '='; ++at) {
      if (*at == '-') *at = '_';
    }
  }
  return absl::ParseCommandLine(argc, argv);
}

}  // namespace lockhost
