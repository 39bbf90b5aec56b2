"""Accounts that are proved elsewhere: settings of the back ends, and what a login changes; pure."""
