#!/bin/sh
# Fails unless the shared library $1 exports what it promises, all of it versioned. Sanitizer
# builds ($2) export more.
set -eu
if [ -n "${2:-}" ]; then
  echo "skipped: a sanitizer adds symbols of its own"
  exit 77
fi
exported=$(nm -DC --defined-only --with-symbol-versions "$1" | cut -d' ' -f3- | sort)
expected=$(sort <<'END'
LOCKHOST_0
lockhost::lock::FindPlace(lockhost::lock::ThreadState&)@@LOCKHOST_0
lockhost::lock::KickSlow(unsigned int*)@@LOCKHOST_0
lockhost::lock::LockSlow(unsigned int*)@@LOCKHOST_0
lockhost::lock::LockSlowUntil(unsigned int*, unsigned long)@@LOCKHOST_0
lockhost::lock::MutexLockSlow(unsigned int*)@@LOCKHOST_0
lockhost::lock::MutexLockSlowUntil(unsigned int*, lockhost_clock, unsigned long)@@LOCKHOST_0
lockhost::lock::process_state@@LOCKHOST_0
lockhost::lock::this_thread@@LOCKHOST_0
lockhost_attach@@LOCKHOST_0
lockhost_cond_broadcast@@LOCKHOST_0
lockhost_cond_signal@@LOCKHOST_0
lockhost_cond_timedwait@@LOCKHOST_0
lockhost_cond_wait@@LOCKHOST_0
lockhost_describe@@LOCKHOST_0
lockhost_mutex_is_contended@@LOCKHOST_0
lockhost_mutex_is_locked@@LOCKHOST_0
lockhost_mutex_lock@@LOCKHOST_0
lockhost_mutex_timedlock@@LOCKHOST_0
lockhost_mutex_trylock@@LOCKHOST_0
lockhost_mutex_unlock@@LOCKHOST_0
lockhost_pshared_cond_broadcast@@LOCKHOST_0
lockhost_pshared_cond_signal@@LOCKHOST_0
lockhost_pshared_cond_timedwait@@LOCKHOST_0
lockhost_pshared_cond_wait@@LOCKHOST_0
lockhost_pshared_mutex_lock@@LOCKHOST_0
lockhost_pshared_mutex_timedlock@@LOCKHOST_0
lockhost_pshared_mutex_trylock@@LOCKHOST_0
lockhost_pshared_mutex_unlock@@LOCKHOST_0
lockhost_pshared_spin_lock@@LOCKHOST_0
lockhost_pshared_spin_timedlock@@LOCKHOST_0
lockhost_pshared_spin_trylock@@LOCKHOST_0
lockhost_pshared_spin_unlock@@LOCKHOST_0
lockhost_robust_consistent@@LOCKHOST_0
lockhost_robust_lock@@LOCKHOST_0
lockhost_robust_timedlock@@LOCKHOST_0
lockhost_robust_trylock@@LOCKHOST_0
lockhost_robust_unlock@@LOCKHOST_0
lockhost_spin_is_contended@@LOCKHOST_0
lockhost_spin_is_locked@@LOCKHOST_0
lockhost_spin_lock@@LOCKHOST_0
lockhost_spin_timedlock@@LOCKHOST_0
lockhost_spin_trylock@@LOCKHOST_0
lockhost_spin_unlock@@LOCKHOST_0
lockhost_status@@LOCKHOST_0
lockhost_status_text@@LOCKHOST_0
END
)
[ "$exported" = "$expected" ] || { echo "exported:"; echo "$exported"; exit 1; }
