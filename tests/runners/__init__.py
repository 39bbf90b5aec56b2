"""Tests of the runners: real Ansible, local connection."""
