// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_CONFIG_CONFIG_H_
#define LOCKHOST_SERVER_CONFIG_CONFIG_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/config.pb.h"

namespace lockhost::server {

// A configuration from its text, checked by the rules of config.proto. INVALID_ARGUMENT:
// "<line>:<column>: <field>: <what>". Pure.
absl::StatusOr<Config> ParseConfig(const std::string& text);
// The same for a file; its path comes first in every error.
absl::StatusOr<Config> ReadConfig(const std::string& path);

// The rules again, for a configuration that was changed since. Errors without a place.
absl::Status CheckConfig(const Config& config);

// "0660" and the like. INVALID_ARGUMENT: no octal permissions.
absl::StatusOr<mode_t> ParseMode(const std::string& text);

// Names of the fields that differ and take effect so.
std::vector<std::string> ChangedFields(const Config& from, const Config& to, Effect effect);

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_CONFIG_CONFIG_H_
