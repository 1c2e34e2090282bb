// SPDX-License-Identifier: Apache-2.0
//
// What the environment says, as values. Private to the library.
#ifndef LOCKHOST_CLIENT_LOCK_SETTINGS_H_
#define LOCKHOST_CLIENT_LOCK_SETTINGS_H_

#include <cstring>

#include "client/lock/lock_mode.h"

namespace lockhost::lock {

// Both: null, for a variable that is not set, leaves the default. False: no such value.
inline bool ParseHints(const char* value, bool* use) {
  if (value == nullptr || strcmp(value, "on") == 0) return true;
  *use = false;
  return strcmp(value, "off") == 0;
}

inline bool ParseMode(const char* value, ModeSetting* setting) {
  if (value == nullptr || strcmp(value, "auto") == 0) return true;
  if (strcmp(value, "paravirtual") == 0) {
    *setting = ModeSetting::kParavirtual;
    return true;
  }
  if (strcmp(value, "native") != 0) return false;
  *setting = ModeSetting::kNative;
  return true;
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_SETTINGS_H_
