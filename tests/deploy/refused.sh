#!/bin/bash
# Under the filter (by program $1) of unit $2 a call that no daemon needs is the end: SIGSYS.
"$1" "$2" /usr/sbin/chroot / /bin/true
code=$?
[ $code -eq 77 ] && exit 77
[ $code -eq $((128 + 31)) ] || { echo "chroot under $2 ended with $code"; exit 1; }
